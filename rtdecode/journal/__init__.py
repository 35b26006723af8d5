"""The crash-safe record of a session: its objects, its outcomes and its checkpoints."""

from rtdecode.journal.checkpoint import Checkpoint, newest_checkpoint, write_checkpoint
from rtdecode.journal.journal import Journal, RunInfo
from rtdecode.journal.operator_notes import Tally
from rtdecode.journal.read_session import (
    RecordedRun,
    RecordRows,
    Remarks,
    RunRow,
    Session,
    read_record,
    read_remarks,
    read_session,
)
from rtdecode.journal.service_start import NAMELESS, ServiceStart
from rtdecode.journal.stimulus_events import StimulusEvent

__all__ = [
    "NAMELESS",
    "Checkpoint",
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
