"""The crash-safe record of a session: what came in, what was made of it, where to go on."""

from rtdecode.journal.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint
from rtdecode.journal.journal import Appended, Journal, Receipt, RunInfo
from rtdecode.journal.presented import Presented
from rtdecode.journal.reading import (
    RecordedRun,
    Remarks,
    Session,
    Tally,
    read_remarks,
    read_session,
)
from rtdecode.journal.serving import NAMELESS, Serving

__all__ = [
    "NAMELESS",
    "Appended",
    "Checkpoint",
    "Journal",
    "Presented",
    "Receipt",
    "RecordedRun",
    "Remarks",
    "RunInfo",
    "Serving",
    "Session",
    "Tally",
    "newest_checkpoint",
    "read_remarks",
    "read_session",
    "write_checkpoint",
]
