"""The running service: threads, sockets, life cycle."""

from rtdecode.service.resuming import resumable
from rtdecode.service.serve import serve
from rtdecode.service.settings import Decoder, Endpoints, ExitSummary, ServiceSettings
from rtdecode.service.verify import Difference, Verified, verify

__all__ = [
    "Decoder",
    "Difference",
    "Endpoints",
    "ExitSummary",
    "ServiceSettings",
    "Verified",
    "resumable",
    "serve",
    "verify",
]
