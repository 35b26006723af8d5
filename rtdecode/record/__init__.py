"""The record of a session: a BIDS derivative and a report of one page."""

from rtdecode.record.bids_entities import BidsEntities, labels_of
from rtdecode.record.event_rows import EventRow, presented_events, read_events
from rtdecode.record.write_record import RecordFiles, write_in_session, write_record

__all__ = [
    "BidsEntities",
    "EventRow",
    "RecordFiles",
    "labels_of",
    "presented_events",
    "read_events",
    "write_in_session",
    "write_record",
]
