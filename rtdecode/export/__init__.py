"""Copies of recorded sessions to share, with everything that identifies the participant left out."""

from rtdecode.export.deidentify import Deidentifier
from rtdecode.export.session import Exported, export_session

__all__ = ["Deidentifier", "Exported", "export_session"]
