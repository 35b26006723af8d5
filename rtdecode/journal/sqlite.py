"""The session's SQLite files: the lock, errors with a remedy, and their tables."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from rtdecode.errors import ConfigError, RunError

RECORD = "session.sqlite"
LOCK = "session.lock"


def lock_session(folder: Path) -> sqlite3.Connection:
    """Lock a session folder for this process; the system releases the lock when the process ends.

    Raises
    ------
    ConfigError
        Another process has the folder open, or it cannot be written.
    """
    with ExitStack() as opening:
        try:
            lock = opening.enter_context(
                closing(sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None))
            )
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if is_busy(error):
                raise ConfigError(
                    f"session folder {folder} is in use by another service; stop that one or "
                    "choose another folder"
                ) from error
            raise ConfigError(
                f"session folder {folder} cannot be written ({error}); make room on the disk, "
                "correct the folder's permissions, or choose another folder"
            ) from error
        opening.pop_all()
    return lock


def is_busy(error: BaseException | None) -> bool:
    """Whether another process holds the lock that SQLite asked for."""
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_BUSY


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Turn an SQLite error into a `RunError` with the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            f"the session's record in {folder} cannot be written ({error}); make room on the disk, "
            "or have it repaired, and start again with the same session folder"
        ) from error


def has_table(record: sqlite3.Connection, table: str) -> bool:
    """Whether a session's record has a table; records of earlier versions lack some."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return record.execute(query, (table,)).fetchone() is not None
