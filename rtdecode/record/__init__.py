"""What remains of a session for others: a BIDS derivative and a report of one page."""

from rtdecode.record.events import Event, presented_events, read_events
from rtdecode.record.labels import Labels, labels_of
from rtdecode.record.write import Written, write_beside, write_record

__all__ = [
    "Event",
    "Labels",
    "Written",
    "labels_of",
    "presented_events",
    "read_events",
    "write_beside",
    "write_record",
]
