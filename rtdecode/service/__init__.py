"""The running service: threads, sockets and the runs of a session."""

from rtdecode.pipeline import Decoder
from rtdecode.service.resume import check_unfinished, resume_settings
from rtdecode.service.serve import serve
from rtdecode.service.settings import Endpoints, ExitSummary, ServiceSettings
from rtdecode.service.start import check_bundle, check_start
from rtdecode.service.verify import recorded_execution, verify

__all__ = [
    "Decoder",
    "Endpoints",
    "ExitSummary",
    "ServiceSettings",
    "check_bundle",
    "check_start",
    "check_unfinished",
    "recorded_execution",
    "resume_settings",
    "serve",
    "verify",
]
