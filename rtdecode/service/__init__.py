"""The running service: threads, sockets, life cycle."""

from rtdecode.service.resuming import resumable
from rtdecode.service.serve import serve
from rtdecode.service.settings import Decoder, Endpoints, ExitSummary, ServiceSettings
from rtdecode.service.verify import Difference, Verified, computed_with, verify

__all__ = [
    "Decoder",
    "Difference",
    "Endpoints",
    "ExitSummary",
    "ServiceSettings",
    "Verified",
    "computed_with",
    "resumable",
    "serve",
    "verify",
]
