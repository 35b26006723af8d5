"""The crash-safe record of a session: its objects, its outcomes and its checkpoints."""

from rtdecode.journal.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint
from rtdecode.journal.journal import Appended, EntryReceipt, Journal, RunInfo
from rtdecode.journal.read_session import (
    RecordedRun,
    RecordRows,
    Remarks,
    RunRow,
    Session,
    Tally,
    read_record,
    read_remarks,
    read_session,
)
from rtdecode.journal.service_start import NAMELESS, ServiceStart
from rtdecode.journal.stimulus_events import StimulusEvent

__all__ = [
    "NAMELESS",
    "Appended",
    "Checkpoint",
    "EntryReceipt",
    "Journal",
    "RecordRows",
    "RecordedRun",
    "Remarks",
    "RunInfo",
    "RunRow",
    "ServiceStart",
    "Session",
    "StimulusEvent",
    "Tally",
    "newest_checkpoint",
    "read_record",
    "read_remarks",
    "read_session",
    "write_checkpoint",
]
