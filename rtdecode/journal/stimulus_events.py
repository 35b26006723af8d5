"""What the participant was shown, as the stimulus program told it.

A program tells an event when it happens, or with an onset by its own clock. Of the first kind the
record holds the moment alone: the onset in the run follows from when the run's volumes came, which
is known better the more of them there are (decision 81).
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
    """One event of the experiment, as it was told to the service."""

    run: int
    """The newest when it was told; 0 before the first. The next one's first volume may not have
    come yet."""
    sequence: int
    """The newest outcome's when it was told."""
    told_ns: int
    """When it was told, by the service's monotonic clock."""
    trial_type: str
    onset_s: float | None
    """Since the acquisition of the run's first volume began; `None`: when it was told."""
    duration_s: float | None
    """`None` where it is not known."""
    serving: int | None = None
    """Which start of the service it was told to, from 1; the clocks of two need not agree. `None`
    before it is on record: the newest."""


def write(record: sqlite3.Connection, event: StimulusEvent) -> None:
    """Put an event into a session's record, under its serving or the newest one."""
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
    """Return a session's events as they were told; sessions of earlier versions have none."""
    if not has_table(record, "presented"):
        return []
    rows = record.execute(
        "SELECT run, sequence, told_ns, trial_type, onset_s, duration_s, serving FROM presented "
        "ORDER BY event"
    )
    return [StimulusEvent(*row) for row in rows]
