"""A recorded session -> an anonymous one that replays to the same outcomes."""

import logging
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from rtdecode import dicom
from rtdecode.errors import ConfigError, RunError, VolumeError
from rtdecode.export.deidentify import Deidentifier
from rtdecode.journal import Journal
from rtdecode.journal.guard import locked
from rtdecode.journal.journal import LOCK, PACK, RECORD
from rtdecode.ledger import Ledger, Receipt
from rtdecode.pack import Entry, Kind, Record, read_body, scan
from rtdecode.types import Stamps
from rtdecode.wire import Numbered

BATCH = 64
"""Objects made durable together."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds."""

    out: Path
    runs: int
    objects: int
    left_out: int
    """Objects that gave to no volume: unreadable, of another series, or outside a run."""
    outcomes: int
    marks_left_out: int
    """Operators' remarks: free text, that may name somebody."""


@dataclass(frozen=True, slots=True)
class _Run:
    run: int
    bundle: str
    classes: tuple[str, ...]
    repetition_time_s: float
    ended: bool


def export_session(session: Path, out: Path) -> Exported:
    """Write an anonymous copy of a recorded session.

    Objects keep what their volumes need, with new UIDs and without dates and file names; objects
    that gave to no volume and operators' remarks are left out. The original is only read.

    Parameters
    ----------
    session
        The session's folder; no service may have it open.
    out
        The copy's folder, which must not exist.

    Raises
    ------
    ConfigError
        No session there, in use, or `out` exists.
    RunError
        An object cannot be made anonymous, or the disk is full; nothing is left at `out`.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already; name a folder that is not")
    if not (session / PACK).is_file() or not (session / RECORD).is_file():
        raise ConfigError(f"{session} is no recorded session: {PACK} or {RECORD} is missing")
    if out.resolve().is_relative_to(session.resolve()):
        raise ConfigError(f"{out} lies inside the session that is exported; choose another place")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        part = Path(name) / "session"
        with _not_in_use(session):
            runs, outcomes, marks = _recorded(session)
            kept, left_out = _copy(session / PACK, part, runs, outcomes)
        part.rename(out)
    return Exported(out, len(runs), kept, left_out, len(outcomes), marks)


@contextmanager
def _not_in_use(session: Path) -> Iterator[None]:
    """Keep services away, where the folder can be locked at all."""
    with ExitStack() as held:
        if (session / LOCK).is_file():
            try:
                held.enter_context(closing(locked(session / LOCK)))
            except ConfigError as error:
                if "database is locked" in str(error.__cause__):
                    raise
        yield


def _recorded(session: Path) -> tuple[dict[int, _Run], list[Numbered], int]:
    """Return runs, outcomes and the number of remarks, from a copy that SQLite may write to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in session.glob(f"{RECORD}*"):
            shutil.copyfile(path, folder / path.name)
        with Journal(folder) as journal:
            outcomes = journal.outcomes()
        with closing(sqlite3.connect(folder / RECORD)) as record:
            rows = record.execute(
                "SELECT run, bundle, classes, repetition_time_s, ended_utc IS NOT NULL FROM runs"
            ).fetchall()
            (marks,) = record.execute("SELECT count(*) FROM marks").fetchone()
    runs = {
        run: _Run(
            run,
            bundle,
            msgspec.json.decode(classes, type=tuple[str, ...]),
            repetition_time_s,
            bool(ended),
        )
        for run, bundle, classes, repetition_time_s, ended in rows
    }
    return runs, outcomes, marks


def _copy(
    pack: Path, folder: Path, runs: dict[int, _Run], outcomes: list[Numbered]
) -> tuple[int, int]:
    """Write the log and the record anew; return how many objects were kept and left out."""
    deidentifier = Deidentifier(secrets.token_bytes(32))
    kept = left_out = 0
    run: int | None = None
    ledger = Ledger()
    waiting: list[Entry] = []
    with pack.open("rb") as file, Journal(folder) as journal:
        for record in scan(file):
            if record.kind is Kind.OBJECT:
                content = read_body(file, record)
                if run is None or not _counts(ledger, content):
                    left_out += 1
                    continue
                kept += 1
                waiting.append(_entry(deidentifier, record, content, kept))
                if len(waiting) == BATCH:
                    _flush(journal, waiting)
                continue
            _flush(journal, waiting)
            header = _without_time(record.header)
            journal.append_event(record.kind, header, len(journal.records))
            if record.kind is Kind.START:
                run, ledger = record.header["run"], Ledger()
                if run in runs:
                    begun = runs[run]
                    journal.run_began(run, begun.bundle, begun.classes, begun.repetition_time_s)
            elif record.kind is Kind.GIVE_UP:
                ledger.give_up(record.header["index"])
            elif record.kind is Kind.END:
                run = None
        _flush(journal, waiting)
        for numbered in outcomes:
            journal.record(replace(numbered, session=journal.session))
            journal.stamp(numbered.sequence, numbered.outcome.stamps.recorded_ns)
        for ended in (r.run for r in runs.values() if r.ended):
            journal.run_ended(ended)
    return kept, left_out


def _counts(ledger: Ledger, content: bytes) -> bool:
    """Whether an object gave to the run: the others may be of anything, a face among them."""
    try:
        parsed = dicom.parse(content, "the object")
    except VolumeError:
        return False
    receipt, _ = ledger.add(parsed, Stamps(), 0)
    return receipt is not Receipt.WRONG_SERIES


def _entry(deidentifier: Deidentifier, record: Record, content: bytes, number: int) -> Entry:
    try:
        body = deidentifier.apply(content)
    except VolumeError as error:
        raise RunError(
            f"object {record.number} of the log: {error}; nothing is exported, so that nothing is "
            "shared that replays to something else"
        ) from error
    header = {"name": f"{number:06d}.dcm", "received_ns": record.header["received_ns"]}
    return Entry(Kind.OBJECT, header, body)


def _flush(journal: Journal, waiting: list[Entry]) -> None:
    if waiting:
        journal.append_objects(waiting)
        waiting.clear()


def _without_time(header: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in header.items() if name != "utc"}
