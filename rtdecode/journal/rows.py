"""Rows of the record as values."""

import sqlite3
from dataclasses import replace

import msgspec

from rtdecode.types import Decision, Outcome
from rtdecode.wire import DecisionMessage, SkippedMessage, outcome_from_message


def outcome_of(content: str, recorded_ns: int | None, *, late: bool) -> Outcome:
    """Return an outcome with what became known of it after it was written."""
    message = msgspec.json.decode(content, type=DecisionMessage | SkippedMessage)
    outcome = outcome_from_message(message)
    if late and isinstance(outcome, Decision):
        outcome = replace(outcome, late=True)
    if recorded_ns is None:
        return outcome
    return replace(outcome, stamps=replace(outcome.stamps, recorded_ns=recorded_ns))


def holds(record: sqlite3.Connection, table: str) -> bool:
    """Whether a session's record has a table; those of earlier versions lack some."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return record.execute(query, (table,)).fetchone() is not None
