"""The running service: threads, sockets, life cycle."""

from rtdecode.pipeline import Decoder
from rtdecode.service.resume import check_unfinished, resumable
from rtdecode.service.serve import serve
from rtdecode.service.settings import Endpoints, ExitSummary, ServiceSettings
from rtdecode.service.start import check_bundle, check_start
from rtdecode.service.verify import Difference, Verified, computed_with, verify

__all__ = [
    "Decoder",
    "Difference",
    "Endpoints",
    "ExitSummary",
    "ServiceSettings",
    "Verified",
    "check_bundle",
    "check_start",
    "check_unfinished",
    "computed_with",
    "resumable",
    "serve",
    "verify",
]
