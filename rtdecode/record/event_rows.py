"""Stimulus events with their onsets, from the session's record or from a BIDS file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtdecode import events as files
from rtdecode.journal import RecordedRun, Session, StimulusEvent
from rtdecode.types import Decision

SOURCES = {
    "program": "reported by the stimulus program, by its clock",
    "service": "reported without an onset: computed from the time of the report and the run's "
    "volumes; too early by the shortest delay between a volume's last slice and its receipt",
    "file": "read from an events file at the export",
}
"""The sources of an onset, with their descriptions."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of an events file."""

    onset_s: float
    """Seconds since the acquisition of the run's first volume began."""
    duration_s: float | None
    """`None` if it is unknown."""
    trial_type: str
    source: str
    """One of `SOURCES`."""


def presented_events(session: Session) -> tuple[dict[int, list[EventRow]], int]:
    """Return each run's events in order of onset, and the number of events without an onset.

    The onset of an event is unknown if the event was reported without one, to a service that
    received no volume.
    """
    starts = {run.run: _starts_ns(session, run) for run in session.runs}
    tr_ns = {run.run: _or_zero(run.repetition_time_s) * 1e9 for run in session.runs}
    events: dict[int, list[EventRow]] = {}
    unknown = 0
    for event in session.stimulus_events:
        run = max(event.run, 1)
        for later in sorted(starts):
            began_ns = starts[later].get(event.serving or 0, math.inf)
            # The trigger and the stimuli after it come before the first volume.
            if later > run and event.told_ns >= began_ns - tr_ns[later]:
                run = later
        onset_s = event.onset_s
        if onset_s is None:
            began_ns = starts.get(run, {}).get(event.serving or 0, math.nan)
            onset_s = round((event.told_ns - began_ns) / 1e9, 3)
        if math.isnan(onset_s):
            unknown += 1
            continue
        events.setdefault(run, []).append(_event_row(event, onset_s))
    for rows in events.values():
        rows.sort(key=lambda row: row.onset_s)
    return events, unknown


def blocks(rows: Sequence[EventRow]) -> tuple[files.Event, ...]:
    """Join consecutive events of one type to blocks, as in calibration."""
    return files.joined([files.Event(e.onset_s, e.duration_s, e.trial_type) for e in rows])


def _event_row(event: StimulusEvent, onset_s: float) -> EventRow:
    source = "service" if event.onset_s is None else "program"
    return EventRow(onset_s, event.duration_s, event.trial_type, source)


def _starts_ns(session: Session, run: RecordedRun) -> dict[int, float]:
    """Estimate when a run's first volume began, by the clock of each service start.

    Each volume gives one estimate. Delays only make an estimate later, so the earliest is the best.
    """
    starts: dict[int, float] = {}
    tr_s = _or_zero(run.repetition_time_s)
    for number, outcome in enumerate(run.outcomes):
        stamps = outcome.stamps
        if not (stamps.received_ns and stamps.journalled_ns):
            continue  # it never arrived, or was read after a restart
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
    """Read onset, duration and trial type from a BIDS events file, in order of onset.

    Raises
    ------
    ConfigError
        A row is wrong; the error lists every such row.
    """
    return [
        EventRow(e.onset_s, e.duration_s, e.trial_type, "file") for e in files.read_events(path)
    ]
