"""Events that the stimulus program reported.

A program reports an event when it happens, or with an onset by its own clock. Without an onset the
record holds the time of the report. The onset in the run is computed later from the arrival times
of the run's volumes; more volumes make it more exact (docs/record.md).
"""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from rtdecode.journal.sqlite import has_table

SCHEMA = """
CREATE TABLE IF NOT EXISTS presented (
    event INTEGER PRIMARY KEY, run INTEGER NOT NULL, sequence INTEGER NOT NULL,
    serving INTEGER NOT NULL, told_utc TEXT NOT NULL, told_ns INTEGER NOT NULL,
    trial_type TEXT NOT NULL, onset_s REAL, duration_s REAL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class StimulusEvent:
    """One event of the experiment."""

    run: int
    """The newest run at the report; 0 before the first run. The event may belong to the next run,
    if that run's first volume has not arrived yet."""
    sequence: int
    """The newest outcome at the report."""
    told_ns: int
    """Time of the report by the service's monotonic clock."""
    trial_type: str
    onset_s: float | None
    """Seconds since the start of the run's first volume; `None`: the time of the report."""
    duration_s: float | None
    """`None` if it is unknown."""
    serving: int | None = None
    """Number of the service start, from 1; the clocks of two starts may differ. `None` before it is
    recorded: the newest start."""


def write(record: sqlite3.Connection, event: StimulusEvent) -> None:
    """Write an event into a session's record."""
    record.execute(
        "INSERT INTO presented (run, sequence, serving, told_utc, told_ns, trial_type, onset_s, "
        "duration_s) VALUES (?, ?, coalesce(?, (SELECT coalesce(max(serving), 0) FROM servings)), "
        "?, ?, ?, ?, ?)",
        (
            event.run,
            event.sequence,
            event.serving,
            datetime.now(UTC).isoformat(),
            event.told_ns,
            event.trial_type,
            event.onset_s,
            event.duration_s,
        ),
    )


def read(record: sqlite3.Connection) -> list[StimulusEvent]:
    """Return a session's events in the order of their reports; earlier versions have none."""
    if not has_table(record, "presented"):
        return []
    rows = record.execute(
        "SELECT run, sequence, told_ns, trial_type, onset_s, duration_s, serving FROM presented "
        "ORDER BY event"
    )
    return [StimulusEvent(*row) for row in rows]
