"""SQLite's errors in our words, and its lock as ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from rtdecode.errors import ConfigError, RunError


def locked(path: Path) -> sqlite3.Connection:
    """Hold `path` for this process alone: SQLite's lock works everywhere and dies with us."""
    with ExitStack() as opening:
        try:
            lock = opening.enter_context(
                closing(sqlite3.connect(path, timeout=0, isolation_level=None))
            )
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise ConfigError(
                    f"session folder {path.parent} is in use by another service; stop that one or "
                    "choose another folder"
                ) from error
            raise ConfigError(
                f"session folder {path.parent} cannot be written ({error}); make room on the disk, "
                "mend the folder's permissions, or choose another folder"
            ) from error
        opening.pop_all()
    return lock


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an SQLite error into a `RunError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            f"the session's record in {folder} cannot be written ({error}); make room on the disk, "
            "or have it mended, and start again with the same session folder"
        ) from error
