"""A session's folder read without changing it, also where nothing may be written."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rtdecode.errors import ConfigError
from rtdecode.journal import serving
from rtdecode.journal.serving import Serving
from rtdecode.pack import Kind, Record, scan
from rtdecode.types import Outcome
from rtdecode.wire import DecisionMessage, SkippedMessage, outcome_from_message


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run and its outcomes."""

    run: int
    start: Record
    ended: bool
    first: int
    """The sequence number of its first outcome."""
    outcomes: Sequence[Outcome]
    """In order; without the time of their recording."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a session's folder holds."""

    pack: Path
    records: Sequence[Record]
    runs: Sequence[RecordedRun]
    servings: Sequence[Serving]


def read_session(folder: Path) -> Session:
    """Read a session's record; a service may be writing to it meanwhile.

    Raises
    ------
    ConfigError
        It is no session's folder, or cannot be read.
    """
    pack = folder / "objects.pack"
    try:
        with closing(_opened(folder / "session.sqlite")) as record:
            record.execute("BEGIN")  # one view of it all
            runs = dict(record.execute("SELECT run, ended_utc IS NOT NULL FROM runs"))
            rows = record.execute("SELECT run, sequence, outcome FROM outcomes ORDER BY sequence")
            outcomes: dict[int, list[Outcome]] = {}
            first: dict[int, int] = {}
            for run, sequence, content in rows:
                message = msgspec.json.decode(content, type=DecisionMessage | SkippedMessage)
                outcomes.setdefault(run, []).append(outcome_from_message(message))
                first.setdefault(run, sequence)
            servings = serving.read(record)
        with pack.open("rb") as file:
            # After the outcomes: the log is always ahead of them.
            records = list(scan(file))
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"{folder} cannot be read as a session ({error}); give the folder that was served "
            "with --session"
        ) from error
    starts = {r.header["run"]: r for r in records if r.kind is Kind.START}
    return Session(
        pack,
        records,
        [
            RecordedRun(run, start, bool(runs.get(run)), first.get(run, 0), outcomes.get(run, []))
            for run, start in starts.items()
        ],
        servings,
    )


@dataclass(frozen=True, slots=True)
class Remarks:
    """What was noted beside a session's outcomes, without its objects or outcomes being read."""

    serving: Serving | None
    """The newest."""
    marks: Sequence[tuple[int, int, str, str]]
    """Run, sequence of the outcome before it, time (UTC, ISO 8601), text."""
    notices: Sequence[tuple[int, str, str]]
    """Run, kind and text, in the order of the objects that they are about."""


def read_remarks(folder: Path) -> Remarks:
    """Read marks, notices and the newest serving; cheap, while a service is writing.

    Raises
    ------
    ConfigError
        It is no session's folder, or cannot be read.
    """
    try:
        with closing(_opened(folder / "session.sqlite")) as record:
            record.execute("BEGIN")
            servings = serving.read(record)
            marks = record.execute("SELECT run, sequence, marked_utc, text FROM marks").fetchall()
            notices = record.execute("SELECT run, kind, text FROM notices ORDER BY record")
            return Remarks(servings[-1] if servings else None, marks, notices.fetchall())
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"{folder} cannot be read as a session ({error}); give the folder that was served "
            "with --session"
        ) from error


def _opened(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing")
    # A record that was closed properly is read where nothing may be written, and leaves no file.
    closed = not path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.resolve().as_uri()}?{'immutable=1' if closed else 'mode=ro'}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)
