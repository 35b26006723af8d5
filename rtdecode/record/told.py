"""What the report is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtdecode.bundle import Manifest
from rtdecode.journal import RecordedRun, Session
from rtdecode.record.events import Event
from rtdecode.record.labels import Labels


@dataclass(frozen=True, slots=True)
class Told:
    """A session, with what goes with it."""

    session: Session
    runs: Sequence[RecordedRun]
    """Those with outcomes."""
    labels: Labels
    events: Mapping[int, Sequence[Event]]
    without_onset: int
    """Events that were told and have no onset."""
    manifests: Mapping[str, Manifest]
    """By bundle digest; one that is not at hand is missing."""
