"""Under what a session was served, for going on with it and for checking it."""

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
"""The settings that name no place and nobody; paths and addresses may."""


@dataclass(frozen=True, slots=True)
class ServiceStart:
    """One start of a service on a session."""

    sequence: int
    """The outcomes after this one, up to the next serving's, were made by it."""
    bundle: str
    """The bundle's digest."""
    settings: dict[str, Any]
    """The service's, as JSON has them, and under `libraries` the versions of what decides."""
    version: str = __version__
    """Of rtdecode."""
    system: str = f"{platform.system()} {platform.machine()}"


def write(record: sqlite3.Connection, serving: ServiceStart) -> None:
    """Put a serving into a session's record."""
    record.execute(
        "INSERT INTO servings (sequence, served_utc, version, system, bundle, settings) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            serving.sequence,
            datetime.now(UTC).isoformat(),
            serving.version,
            serving.system,
            serving.bundle,
            msgspec.json.encode(serving.settings).decode(),
        ),
    )


def read(record: sqlite3.Connection) -> list[ServiceStart]:
    """Return a session's servings, oldest first; sessions of earlier versions name none."""
    if not has_table(record, "servings"):
        return []
    rows = record.execute(
        "SELECT sequence, bundle, settings, version, system FROM servings ORDER BY serving"
    )
    return [
        ServiceStart(sequence, bundle, msgspec.json.decode(settings), version, system)
        for sequence, bundle, settings, version, system in rows
    ]
