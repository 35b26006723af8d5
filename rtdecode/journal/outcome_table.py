"""The outcomes in a session's record, and what is known after they are written."""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from rtdecode.journal.sqlite import has_table
from rtdecode.types import Decision, Outcome
from rtdecode.wire import (
    DecisionMessage,
    Numbered,
    SkippedMessage,
    outcome_from_message,
    outcome_to_message,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS outcomes (
    sequence INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs,
    volume INTEGER NOT NULL, outcome TEXT NOT NULL, recorded_ns INTEGER,
    UNIQUE (run, volume)) STRICT;
CREATE TABLE IF NOT EXISTS late (sequence INTEGER PRIMARY KEY REFERENCES outcomes) STRICT;
"""
_READ = (
    "SELECT run, sequence, outcome, recorded_ns, late.sequence IS NOT NULL "
    "FROM outcomes LEFT JOIN late USING (sequence) WHERE sequence > ? ORDER BY sequence LIMIT ?"
)
_READ_WITHOUT_LATE = (
    "SELECT run, sequence, outcome, recorded_ns, 0 "
    "FROM outcomes WHERE sequence > ? ORDER BY sequence LIMIT ?"
)
"""For records of earlier versions."""

Recordings = Mapping[int, tuple[int, bool]]
"""By sequence number: the time at which an outcome became durable, and whether that was late."""


def write(record: sqlite3.Connection, numbered: Numbered) -> None:
    """Write an outcome into a session's record."""
    content = msgspec.json.encode(outcome_to_message(numbered.outcome)).decode()
    row = (numbered.sequence, numbered.run, numbered.index, content)
    record.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, NULL)", row)


def write_recordings(record: sqlite3.Connection, recordings: Recordings) -> None:
    """Write when outcomes became durable."""
    query = "UPDATE outcomes SET recorded_ns = ? WHERE sequence = ?"
    record.executemany(query, [(at_ns, number) for number, (at_ns, _) in recordings.items()])
    late = [(number,) for number, (_, is_late) in recordings.items() if is_late]
    record.executemany("INSERT OR IGNORE INTO late VALUES (?)", late)


def read(
    record: sqlite3.Connection,
    since: int = 0,
    limit: int = -1,
    recordings: Recordings | None = None,
) -> list[tuple[int, int, Outcome]]:
    """Return run, sequence number and outcome of each outcome after `since`, in order.

    `recordings` are those that are not written yet.
    """
    query = _READ if has_table(record, "late") else _READ_WITHOUT_LATE
    outcomes: list[tuple[int, int, Outcome]] = []
    for run, sequence, content, written_ns, written_late in record.execute(query, (since, limit)):
        recorded_ns, late = (recordings or {}).get(sequence, (written_ns, bool(written_late)))
        message = msgspec.json.decode(content, type=DecisionMessage | SkippedMessage)
        outcome = outcome_from_message(message)
        if late and isinstance(outcome, Decision):
            outcome = replace(outcome, late=True)
        if recorded_ns is not None:
            outcome = replace(outcome, stamps=replace(outcome.stamps, recorded_ns=recorded_ns))
        outcomes.append((run, sequence, outcome))
    return outcomes
