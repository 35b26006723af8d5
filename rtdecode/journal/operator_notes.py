"""Marks of the operator, notices to the operator, and the tally of each run."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from rtdecode.journal.sqlite import has_table

SCHEMA = """
CREATE TABLE IF NOT EXISTS marks (
    mark INTEGER PRIMARY KEY, run INTEGER NOT NULL, sequence INTEGER NOT NULL,
    marked_utc TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS notices (
    record INTEGER PRIMARY KEY, run INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tallies (
    run INTEGER PRIMARY KEY, objects INTEGER NOT NULL, unreadable INTEGER NOT NULL,
    left_out INTEGER NOT NULL, conflicts INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a run's objects were received, and how many of them were not used."""

    objects: int = 0
    unreadable: int = 0
    left_out: int = 0
    conflicts: int = 0


def write_mark(record: sqlite3.Connection, run: int, sequence: int, text: str) -> None:
    """Write a mark after the outcome `sequence` into a session's record."""
    record.execute(
        "INSERT INTO marks (run, sequence, marked_utc, text) VALUES (?, ?, ?, ?)",
        (run, sequence, datetime.now(UTC).isoformat(), text),
    )


def write_notice(record: sqlite3.Connection, number: int, run: int, kind: str, text: str) -> None:
    """Write a notice about the record `number` of the log, unless it has one already."""
    record.execute("INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?)", (number, run, kind, text))


def write_tally(record: sqlite3.Connection, run: int, tally: Tally) -> None:
    """Write the tally of a run, in place of an earlier one."""
    row = (run, tally.objects, tally.unreadable, tally.left_out, tally.conflicts)
    record.execute("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?, ?, ?)", row)


def read_notices(record: sqlite3.Connection) -> list[tuple[int, str, str]]:
    """Return run, kind and text of each notice, in the order of the objects."""
    if not has_table(record, "notices"):
        return []
    return record.execute("SELECT run, kind, text FROM notices ORDER BY record").fetchall()


def read_tallies(record: sqlite3.Connection) -> dict[int, Tally]:
    """Return the tallies by run."""
    if not has_table(record, "tallies"):
        return {}
    rows = record.execute("SELECT run, objects, unreadable, left_out, conflicts FROM tallies")
    return {run: Tally(*counts) for run, *counts in rows}
