"""What the report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtdecode.bundle import Manifest
from rtdecode.journal import RecordedRun, Session
from rtdecode.record.bids_entities import BidsEntities
from rtdecode.record.event_rows import EventRow


@dataclass(frozen=True, slots=True)
class Told:
    """A session, with what goes with it."""

    session: Session
    runs: Sequence[RecordedRun]
    """Those with outcomes."""
    labels: BidsEntities
    events: Mapping[int, Sequence[EventRow]]
    without_onset: int
    """Events that were told and have no onset."""
    manifests: Mapping[str, Manifest]
    """By bundle digest; one that is not at hand is missing."""
