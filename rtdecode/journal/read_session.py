"""Reads a session's folder, also a write-protected one, without changing it."""

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rtdecode.errors import ConfigError
from rtdecode.journal import outcome_table, service_start, stimulus_events
from rtdecode.journal.operator_notes import Tally, read_notices, read_tallies
from rtdecode.journal.pack import PACK, Kind, Record, scan
from rtdecode.journal.service_start import ServiceStart
from rtdecode.journal.sqlite import RECORD
from rtdecode.journal.stimulus_events import StimulusEvent
from rtdecode.types import Outcome


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run in the record, without the log."""

    run: int
    bundle: str
    """Digest of the bundle that decided."""
    classes: tuple[str, ...]
    repetition_time_s: float
    """The bundle's; `nan` if it is unknown."""
    ended: bool


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run and its outcomes."""

    run: int
    start: Record
    bundle: str
    """Digest of the bundle that decided."""
    classes: tuple[str, ...]
    repetition_time_s: float
    """The bundle's; `nan` if the service was killed before it was recorded."""
    ended: bool
    first: int
    """The sequence number of its first outcome."""
    outcomes: Sequence[Outcome]
    """In order; while a service writes, the newest has no time of recording."""
    notices: Sequence[tuple[str, str]]
    """Kind and text of each message to the operator, in order."""
    tally: Tally | None
    """`None` until the run has ended or its service has stopped."""


@dataclass(frozen=True, slots=True)
class Session:
    """The content of a session's folder."""

    session: str
    """A random identifier."""
    pack: Path
    records: Sequence[Record]
    runs: Sequence[RecordedRun]
    servings: Sequence[ServiceStart]
    stimulus_events: Sequence[StimulusEvent]
    """In the order in which they were reported."""


def read_session(folder: Path) -> Session:
    """Read a session's record; a service may write to it at the same time.

    Raises
    ------
    ConfigError
        It is not a session folder, or cannot be read.
    """
    pack = folder / PACK
    with _reading(folder) as record:
        (session,) = record.execute(
            "SELECT value FROM facts WHERE name = 'session'"
        ).fetchone() or ("",)
        rows = _runs(record)
        outcomes: dict[int, list[Outcome]] = {}
        first: dict[int, int] = {}
        for run, sequence, outcome in outcome_table.read(record):
            outcomes.setdefault(run, []).append(outcome)
            first.setdefault(run, sequence)
        notices = read_notices(record)
        tallies = read_tallies(record)
        servings = service_start.read(record)
        events = stimulus_events.read(record)
        with pack.open("rb") as file:
            # After the outcomes: their objects are in the log before them.
            records = list(scan(file))
    starts = {r.header["run"]: r for r in records if r.kind is Kind.START}
    runs = [
        RecordedRun(
            run=run,
            start=start,
            bundle=str(start.header["bundle"]),
            classes=tuple(map(str, start.header.get("classes", ()))),
            repetition_time_s=rows[run].repetition_time_s if run in rows else math.nan,
            ended=run in rows and rows[run].ended,
            first=first.get(run, 0),
            outcomes=outcomes.get(run, []),
            notices=[(kind, text) for noticed, kind, text in notices if noticed == run],
            tally=tallies.get(run),
        )
        for run, start in starts.items()
    ]
    return Session(session, pack, records, runs, servings, events)


def _runs(record: sqlite3.Connection) -> dict[int, RunRow]:
    rows = record.execute(
        "SELECT run, bundle, classes, repetition_time_s, ended_utc IS NOT NULL FROM runs"
    )
    return {
        run: RunRow(
            run,
            bundle,
            msgspec.json.decode(classes, type=tuple[str, ...]),
            math.nan if tr_s is None else tr_s,
            bool(ended),
        )
        for run, bundle, classes, tr_s, ended in rows
    }


@dataclass(frozen=True, slots=True)
class Remarks:
    """Marks, notices and events of a session, without its objects and outcomes."""

    service_start: ServiceStart | None
    """The newest start of a service."""
    marks: Sequence[tuple[int, int, str, str]]
    """Run, newest outcome, time (UTC, ISO 8601) and text of each mark."""
    notices: Sequence[tuple[int, str, str]]
    """Run, kind and text of each notice, in the order of the objects."""
    stimulus_events: Sequence[StimulusEvent] = ()
    """In the order in which they were reported."""


def read_remarks(folder: Path) -> Remarks:
    """Read marks, notices, events and the newest service start, also while a service writes.

    Raises
    ------
    ConfigError
        It is not a session folder, or cannot be read.
    """
    with _reading(folder) as record:
        servings = service_start.read(record)
        marks = record.execute("SELECT run, sequence, marked_utc, text FROM marks").fetchall()
        notices, events = read_notices(record), stimulus_events.read(record)
    return Remarks(servings[-1] if servings else None, marks, notices, events)


@dataclass(frozen=True, slots=True)
class RecordRows:
    """The record of a session without its log and outcomes."""

    runs: Mapping[int, RunRow]
    servings: Sequence[ServiceStart]
    stimulus_events: Sequence[StimulusEvent]
    """In the order in which they were reported."""
    marks: int
    """Number of operators' remarks."""
    notices: int
    """Number of messages to the operator."""


def read_record(folder: Path) -> RecordRows:
    """Read a session's record without its log and outcomes, also while a service writes.

    Raises
    ------
    ConfigError
        It is not a session folder, or cannot be read.
    """
    with _reading(folder) as record:
        return RecordRows(
            _runs(record),
            service_start.read(record),
            stimulus_events.read(record),
            record.execute("SELECT count(*) FROM marks").fetchone()[0],
            len(read_notices(record)),
        )


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open a session's record so that all queries read the same state."""
    try:
        with _open(folder / RECORD) as record:
            yield record
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"{folder} cannot be read as a session ({error}); give the folder that was served "
            "with --session"
        ) from error


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a record for reading; all queries read the same state."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing")
    # SQLite can read a properly closed record in a write-protected folder, and creates no file.
    closed = not path.with_name(f"{path.name}-wal").exists()
    uri = f"{path.resolve().as_uri()}?{'immutable=1' if closed else 'mode=ro'}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as record:
        record.execute("BEGIN")
        yield record
