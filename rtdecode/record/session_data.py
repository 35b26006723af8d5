"""The data of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtdecode.bundle import Manifest
from rtdecode.journal import RecordedRun, Session
from rtdecode.record.bids_entities import BidsEntities
from rtdecode.record.event_rows import EventRow


@dataclass(frozen=True, slots=True)
class SessionData:
    """A session with its labels, events and bundle manifests."""

    session: Session
    runs: Sequence[RecordedRun]
    """The runs with outcomes."""
    labels: BidsEntities
    events: Mapping[int, Sequence[EventRow]]
    without_onset: int
    """Number of reported events whose onset is unknown."""
    manifests: Mapping[str, Manifest]
    """By bundle digest, without bundles that were not found."""
