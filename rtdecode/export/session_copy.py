"""A recorded session -> an anonymous one that replays to the same outcomes."""

import logging
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from rtdecode import raw
from rtdecode.errors import ConfigError, RunError, VolumeError
from rtdecode.export.deidentify import Deidentifier
from rtdecode.journal import Journal, ServiceStart, StimulusEvent, service_start, stimulus_events
from rtdecode.journal.pack import PACK, Entry, Kind, Record, of_run, read_body, scan
from rtdecode.journal.sqlite import LOCK, RECORD, is_busy, lock_session
from rtdecode.ledger import LedgerReceipt
from rtdecode.sources import recorded_ledger
from rtdecode.types import Decision, Stamps
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
    notices_left_out: int
    """What the operator was told of objects: most of them are left out themselves."""


@dataclass(frozen=True, slots=True)
class _Run:
    run: int
    bundle: str
    classes: tuple[str, ...]
    repetition_time_s: float
    ended: bool


@dataclass(frozen=True, slots=True)
class _Recorded:
    runs: dict[int, _Run]
    outcomes: list[Numbered]
    servings: list[ServiceStart]
    stimulus_events: list[StimulusEvent]
    marks: int
    notices: int


def export_session(session: Path, out: Path) -> Exported:
    """Write an anonymous copy of a recorded session.

    Objects keep what their volumes need, with new UIDs and without dates and file names; objects
    that gave to no volume, operators' remarks and notices are left out, of the service's settings
    paths and addresses. Presented events are kept. The original is only read.

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
            recorded = _recorded(session)
            kept, left_out = _copy(session / PACK, part, recorded)
        part.rename(out)
    return Exported(
        out,
        len(recorded.runs),
        kept,
        left_out,
        len(recorded.outcomes),
        recorded.marks,
        recorded.notices,
    )


@contextmanager
def _not_in_use(session: Path) -> Iterator[None]:
    """Keep services away, where the folder can be locked at all."""
    with ExitStack() as held:
        if (session / LOCK).is_file():
            try:
                held.enter_context(closing(lock_session(session)))
            except ConfigError as error:
                if is_busy(error.__cause__):
                    raise
        yield


def _recorded(session: Path) -> _Recorded:
    """Return what the record says, from a copy that SQLite may write to."""
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
            (notices,) = record.execute("SELECT count(*) FROM notices").fetchone()
            servings, told = service_start.read(record), stimulus_events.read(record)
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
    return _Recorded(runs, outcomes, servings, told, marks, notices)


def _copy(pack: Path, folder: Path, recorded: _Recorded) -> tuple[int, int]:
    """Write the log and the record anew; return how many objects were kept and left out."""
    deidentifier = Deidentifier(secrets.token_bytes(32))
    kept = left_out = 0
    with pack.open("rb") as file, Journal(folder) as journal:
        records = list(scan(file))
        counted = _counted(file, records)
        renumbered: dict[int, int] = {}
        renamed: dict[str, str] = {}
        waiting: list[Entry] = []
        for record in records:
            if record.kind is Kind.OBJECT and record.number not in counted:
                left_out += 1
                continue
            renumbered[record.number] = len(renumbered)
            if record.kind is Kind.OBJECT:
                kept += 1
                entry = _entry(deidentifier, record, read_body(file, record), kept)
                series = counted[record.number]
                renamed[series] = renamed.get(series) or _series(entry.body)
                waiting.append(entry)
                if len(waiting) == BATCH:
                    _flush(journal, waiting)
                continue
            _flush(journal, waiting)
            header = _event(record.header, renumbered, renamed)
            journal.append_event(record.kind, header, len(journal.records))
            if record.kind is Kind.START and header["run"] in recorded.runs:
                begun = recorded.runs[header["run"]]
                journal.begin_run(begun.run, begun.bundle, begun.classes, begun.repetition_time_s)
        _flush(journal, waiting)
        for numbered in recorded.outcomes:
            journal.record(replace(numbered, session=journal.session))
            outcome = numbered.outcome
            late = isinstance(outcome, Decision) and outcome.late
            journal.stamp(numbered.sequence, outcome.stamps.recorded_ns, late=late)
        for served in recorded.servings:
            journal.add_service_start(_anonymous(served))
        for event in recorded.stimulus_events:
            journal.add_event(event)
        for ended in (r.run for r in recorded.runs.values() if r.ended):
            journal.end_run(ended)
    return kept, left_out


def _anonymous(served: ServiceStart) -> ServiceStart:
    """Return under what a session was served, without places: folders are named after people."""
    settings = {
        name: served.settings[name] for name in service_start.NAMELESS if name in served.settings
    }
    kind = str(served.settings.get("source", "")).partition(":")[0]
    return replace(served, settings={**settings, "source": f"{kind}:"})


def _counted(file: BinaryIO, records: list[Record]) -> dict[int, str]:
    """Return the objects that gave to a run, by number, and the digest of each one's series.

    The others may be of anything, a face among them.
    """
    counted: dict[int, str] = {}
    for start in records:
        if start.kind is not Kind.START:
            continue
        ledger = recorded_ledger(start.header)
        for record in of_run(records, start):
            if record.kind is Kind.GIVE_UP:
                ledger.give_up(record.header["index"])
            if record.kind is not Kind.OBJECT:
                continue
            try:
                parsed = raw.parse_object(read_body(file, record), "the object")
            except VolumeError:
                continue
            receipt, _ = ledger.add(parsed, Stamps(), 0)
            if receipt is not LedgerReceipt.WRONG_SERIES:
                counted[record.number] = parsed.series.digest
    return counted


def _series(content: bytes) -> str:
    return raw.parse_object(content, "the object").series.digest


def _event(
    header: Mapping[str, Any], renumbered: Mapping[int, int], renamed: Mapping[str, str]
) -> dict[str, Any]:
    """Return an event's header with the copy's numbers and series, and without its time."""
    event = {name: value for name, value in header.items() if name != "utc"}
    if "from" in event:
        event["from"] = renumbered[event["from"]]
    if event.get("series") is not None:
        event["series"] = renamed.get(event["series"])
    for name in ("former", "rivals"):
        if name in event:  # series of which nothing was kept need no name
            event[name] = [renamed[digest] for digest in event[name] if digest in renamed]
    return event


def _entry(deidentifier: Deidentifier, record: Record, content: bytes, number: int) -> Entry:
    try:
        body = deidentifier.apply(content)
    except VolumeError as error:
        raise RunError(
            f"object {record.number} of the log: {error}; nothing is exported, so that nothing is "
            "shared that replays to something else"
        ) from error
    kind = "volume" if raw.is_raw(content) else "dcm"
    header = {"name": f"{number:06d}.{kind}", "received_ns": record.header["received_ns"]}
    return Entry(Kind.OBJECT, header, body)


def _flush(journal: Journal, waiting: list[Entry]) -> None:
    if waiting:
        journal.append_objects(waiting)
        waiting.clear()
