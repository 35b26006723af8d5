"""The crash-safe record of a session: what came in, what was made of it, where to go on."""

from rtdecode.journal.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint
from rtdecode.journal.journal import Appended, Journal, Receipt, RunInfo

__all__ = [
    "Appended",
    "Checkpoint",
    "Journal",
    "Receipt",
    "RunInfo",
    "newest_checkpoint",
    "write_checkpoint",
]
