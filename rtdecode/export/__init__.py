"""Copies of recorded sessions to share, without what identifies the participant."""

from rtdecode.export.deidentify import Deidentifier
from rtdecode.export.session_copy import Exported, export_session

__all__ = ["Deidentifier", "Exported", "export_session"]
