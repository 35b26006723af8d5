"""Starts of a service on a session: bundle, settings and versions."""

import platform
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from rtdecode import __version__
from rtdecode.journal.sqlite import has_table

SCHEMA = """
CREATE TABLE IF NOT EXISTS servings (
    serving INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, served_utc TEXT NOT NULL,
    version TEXT NOT NULL, system TEXT NOT NULL, bundle TEXT NOT NULL,
    settings TEXT NOT NULL) STRICT;
"""
NAMELESS = (
    "volumes",
    "patience_s",
    "deadline_s",
    "late",
    "runs",
    "dummies",
    "force_polling",
    "file_patience_s",
    "checkpoint_volumes",
    "linger_s",
    "provider",
    "threads",
    "libraries",
)
"""Settings that contain no path, address or name of a person."""


@dataclass(frozen=True, slots=True)
class ServiceStart:
    """One start of a service on a session."""

    sequence: int
    """The newest outcome at the start; later outcomes are this service's, until the next start."""
    bundle: str
    """The bundle's digest."""
    settings: dict[str, Any]
    """The service's settings as JSON, and under `libraries` the versions of the libraries."""
    version: str = __version__
    """The version of rtdecode."""
    system: str = f"{platform.system()} {platform.machine()}"


def write(record: sqlite3.Connection, start: ServiceStart) -> None:
    """Write a start into a session's record."""
    record.execute(
        "INSERT INTO servings (sequence, served_utc, version, system, bundle, settings) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            start.sequence,
            datetime.now(UTC).isoformat(),
            start.version,
            start.system,
            start.bundle,
            msgspec.json.encode(start.settings).decode(),
        ),
    )


def read(record: sqlite3.Connection) -> list[ServiceStart]:
    """Return a session's starts, oldest first; sessions of earlier versions have none."""
    if not has_table(record, "servings"):
        return []
    rows = record.execute(
        "SELECT sequence, bundle, settings, version, system FROM servings ORDER BY serving"
    )
    return [
        ServiceStart(sequence, bundle, msgspec.json.decode(settings), version, system)
        for sequence, bundle, settings, version, system in rows
    ]
