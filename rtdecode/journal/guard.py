"""SQLite's errors in our words, and its lock as ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtdecode.errors import ConfigError, RunError


def locked(path: Path) -> sqlite3.Connection:
    """Hold `path` for this process alone: SQLite's lock works everywhere and dies with us."""
    try:
        lock = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise ConfigError(
            f"session folder {path.parent} cannot be written ({error}); check its permissions, or "
            "choose another folder"
        ) from error
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        raise ConfigError(
            f"session folder {path.parent} is in use by another service, or cannot be written "
            f"({error}); stop that one or choose another folder"
        ) from error
    return lock


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an SQLite error into a `RunError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            f"the session's record in {folder} cannot be written ({error}); make room on the disk "
            "and start again with the same session folder"
        ) from error
