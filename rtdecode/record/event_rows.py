"""Events as they were presented: from the session's record, or from a BIDS file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtdecode import events as files
from rtdecode.journal import RecordedRun, Session, StimulusEvent
from rtdecode.types import Decision

SOURCES = {
    "program": "told by the stimulus program, by its clock",
    "service": "told without an onset: when it came, counted from the run's volumes; too early by "
    "the shortest delay between a volume's last slice and its receipt",
    "file": "read from a file that was given for the export",
}
"""Where an onset is from."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of an events file."""

    onset_s: float
    """Since the acquisition of the run's first volume began."""
    duration_s: float | None
    """`None` where it is not known."""
    trial_type: str
    source: str
    """One of `SOURCES`."""


def presented_events(session: Session) -> tuple[dict[int, list[EventRow]], int]:
    """Return each run's events in order of their onsets, and how many have none.

    An event that was told without an onset has none where no volume came while the service that
    was told it ran.
    """
    starts = {run.run: _starts_ns(session, run) for run in session.runs}
    tr_ns = {run.run: _or_zero(run.repetition_time_s) * 1e9 for run in session.runs}
    events: dict[int, list[EventRow]] = {}
    unknown = 0
    for told in session.stimulus_events:
        run = max(told.run, 1)
        for later in sorted(starts):
            began_ns = starts[later].get(told.serving or 0, math.inf)
            # The trigger, and what it starts, comes before the first volume.
            if later > run and told.told_ns >= began_ns - tr_ns[later]:
                run = later
        onset_s = told.onset_s
        if onset_s is None:
            began_ns = starts.get(run, {}).get(told.serving or 0, math.nan)
            onset_s = round((told.told_ns - began_ns) / 1e9, 3)
        if math.isnan(onset_s):
            unknown += 1
            continue
        events.setdefault(run, []).append(_event(told, onset_s))
    for found in events.values():
        found.sort(key=lambda event: event.onset_s)
    return events, unknown


def blocks(presented: Sequence[EventRow]) -> tuple[files.Event, ...]:
    """Return events with those of one type that follow each other made one, as calibration does."""
    return files.joined([files.Event(e.onset_s, e.duration_s, e.trial_type) for e in presented])


def _event(told: StimulusEvent, onset_s: float) -> EventRow:
    source = "service" if told.onset_s is None else "program"
    return EventRow(onset_s, told.duration_s, told.trial_type, source)


def _starts_ns(session: Session, run: RecordedRun) -> dict[int, float]:
    """Return when a run's first volume is taken to have begun, by the clock of each serving.

    Volumes come late, never early: the earliest, as its acquisition has it, is nearest the truth.
    """
    starts: dict[int, float] = {}
    tr_s = _or_zero(run.repetition_time_s)
    for number, outcome in enumerate(run.outcomes):
        stamps = outcome.stamps
        if not (stamps.received_ns and stamps.journalled_ns):  # never came, or was read again
            continue
        acquired_s = outcome.acquired_s if isinstance(outcome, Decision) else math.nan
        if math.isnan(acquired_s):
            acquired_s = outcome.index * tr_s
        began_ns = stamps.received_ns - (acquired_s + tr_s) * 1e9
        serving = sum(s.sequence < run.first + number for s in session.servings)
        starts[serving] = min(starts.get(serving, math.inf), began_ns)
    return starts


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def read_events(path: Path) -> list[EventRow]:
    """Read onset, duration and trial type from a BIDS events file, in order of the onsets.

    Raises
    ------
    ConfigError
        Naming every row that is wrong.
    """
    return [
        EventRow(e.onset_s, e.duration_s, e.trial_type, "file") for e in files.read_events(path)
    ]
