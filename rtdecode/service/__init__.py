"""The running service: threads, sockets, life cycle."""

from rtdecode.service.serve import serve
from rtdecode.service.settings import Decoder, Endpoints, ExitSummary, ServiceSettings

__all__ = ["Decoder", "Endpoints", "ExitSummary", "ServiceSettings", "serve"]
