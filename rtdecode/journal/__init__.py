"""The crash-safe record of a session: its objects, its outcomes and its checkpoints."""

from rtdecode.journal.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint
from rtdecode.journal.journal import Journal, RunInfo
from rtdecode.journal.operator_notes import Tally
from rtdecode.journal.read_session import (
    RecordedRun,
    Remarks,
    Session,
    read_remarks,
    read_session,
)
from rtdecode.journal.service_start import NAMELESS, ServiceStart
from rtdecode.journal.stimulus_events import StimulusEvent

__all__ = [
    "NAMELESS",
    "Checkpoint",
    "Journal",
    "RecordedRun",
    "Remarks",
    "RunInfo",
    "ServiceStart",
    "Session",
    "StimulusEvent",
    "Tally",
    "newest_checkpoint",
    "read_remarks",
    "read_session",
    "write_checkpoint",
]
