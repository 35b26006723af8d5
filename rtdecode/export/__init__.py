"""Anonymous copies of recorded sessions, to share."""

from rtdecode.export.deidentify import Deidentifier
from rtdecode.export.session_copy import ExportSummary, export_session

__all__ = ["Deidentifier", "ExportSummary", "export_session"]
