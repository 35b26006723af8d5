"""Writes an anonymous copy of a recorded session that replays to the same outcomes."""

import logging
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from rtdecode import raw
from rtdecode.errors import ConfigError, RunError, VolumeError
from rtdecode.export.deidentify import Deidentifier
from rtdecode.journal import NAMELESS, Journal, RecordRows, ServiceStart, read_record
from rtdecode.journal.pack import PACK, Entry, Kind, Record, of_run, read_body, scan
from rtdecode.journal.sqlite import LOCK, RECORD, is_busy, lock_session
from rtdecode.ledger import LedgerReceipt
from rtdecode.sources import recorded_ledger
from rtdecode.types import Decision, Stamps
from rtdecode.wire import Numbered

BATCH = 64
"""Number of objects that are written to disk together."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """The content of a copy, and what was left out."""

    out: Path
    runs: int
    objects: int
    left_out: int
    """Objects of no volume: unreadable, of another series, or outside a run."""
    outcomes: int
    marks_left_out: int
    """Operators' remarks: free text that may contain names."""
    notices_left_out: int
    """Messages to the operator about objects; most of these objects are left out, too."""


def export_session(session: Path, out: Path) -> ExportSummary:
    """Write an anonymous copy of a recorded session.

    Objects keep the data that their volumes need, with new UIDs and without dates and file names.
    Objects of no volume, operators' remarks, notices, and the paths and addresses of the service's
    settings are left out. Stimulus events are copied. The original is only read.

    Parameters
    ----------
    session
        The session's folder; no service may use it.
    out
        The copy's folder, which must not exist.

    Raises
    ------
    ConfigError
        `session` is not a session or is in use, or `out` exists.
    RunError
        An object cannot be made anonymous, or the disk is full; `out` is not created.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already; choose a new folder")
    if not (session / PACK).is_file() or not (session / RECORD).is_file():
        raise ConfigError(f"{session} is not a recorded session: {PACK} or {RECORD} is missing")
    if out.resolve().is_relative_to(session.resolve()):
        raise ConfigError(f"{out} is inside the exported session; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
        part = Path(name) / "session"
        with _not_in_use(session):
            rows, outcomes = _read_copy(session)
            objects, left_out = _copy(session / PACK, part, rows, outcomes)
        part.rename(out)
    return ExportSummary(
        out, len(rows.runs), objects, left_out, len(outcomes), rows.marks, rows.notices
    )


@contextmanager
def _not_in_use(session: Path) -> Iterator[None]:
    """Lock the folder against services, if it can be locked."""
    with ExitStack() as stack:
        if (session / LOCK).is_file():
            try:
                stack.enter_context(closing(lock_session(session)))
            except ConfigError as error:
                if is_busy(error.__cause__):
                    raise
        yield


def _read_copy(session: Path) -> tuple[RecordRows, list[Numbered]]:
    """Read the record and its outcomes from a temporary copy, because the journal writes to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in session.glob(f"{RECORD}*"):
            shutil.copyfile(path, folder / path.name)
        with Journal(folder) as journal:
            outcomes = journal.outcomes()
        return read_record(folder), outcomes


def _copy(
    pack: Path, folder: Path, rows: RecordRows, outcomes: Sequence[Numbered]
) -> tuple[int, int]:
    """Write a new log and record; return the numbers of objects copied and left out."""
    deidentifier = Deidentifier(secrets.token_bytes(32))
    objects = left_out = 0
    with pack.open("rb") as file, Journal(folder) as journal:
        records = list(scan(file))
        series_of = _objects_of_runs(file, records)
        new_numbers: dict[int, int] = {}
        new_series: dict[str, str] = {}
        batch: list[Entry] = []
        for record in records:
            if record.kind is Kind.OBJECT and record.number not in series_of:
                left_out += 1
                continue
            new_numbers[record.number] = len(new_numbers)
            if record.kind is Kind.OBJECT:
                objects += 1
                entry = _entry(deidentifier, record, read_body(file, record), objects)
                series = series_of[record.number]
                new_series[series] = new_series.get(series) or _series(entry.body)
                batch.append(entry)
                if len(batch) == BATCH:
                    _flush(journal, batch)
                continue
            _flush(journal, batch)
            header = _event(record.header, new_numbers, new_series)
            journal.append_event(record.kind, header, len(journal.records))
            if record.kind is Kind.START and header["run"] in rows.runs:
                run = rows.runs[header["run"]]
                journal.begin_run(run.run, run.bundle, run.classes, run.repetition_time_s)
        _flush(journal, batch)
        for numbered in outcomes:
            journal.record(replace(numbered, session=journal.session))
            outcome = numbered.outcome
            late = isinstance(outcome, Decision) and outcome.late
            journal.stamp(numbered.sequence, outcome.stamps.recorded_ns, late=late)
        for start in rows.servings:
            journal.add_service_start(_anonymous(start))
        for event in rows.stimulus_events:
            journal.add_event(event)
        for run in rows.runs.values():
            if run.ended:
                journal.end_run(run.run)
    return objects, left_out


def _anonymous(start: ServiceStart) -> ServiceStart:
    """Return a service start without paths and addresses, because folders can contain names."""
    settings = {name: start.settings[name] for name in NAMELESS if name in start.settings}
    kind = str(start.settings.get("source", "")).partition(":")[0]
    return replace(start, settings={**settings, "source": f"{kind}:"})


def _objects_of_runs(file: BinaryIO, records: list[Record]) -> dict[int, str]:
    """Return the digest of the series of each object of a run, by the object's number.

    Other objects may show anything, for example a face.
    """
    series_of: dict[int, str] = {}
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
                series_of[record.number] = parsed.series.digest
    return series_of


def _series(content: bytes) -> str:
    return raw.parse_object(content, "the object").series.digest


def _event(
    header: Mapping[str, Any], new_numbers: Mapping[int, int], new_series: Mapping[str, str]
) -> dict[str, Any]:
    """Return an event's header with the copy's numbers and series, and without its time."""
    event = {name: value for name, value in header.items() if name != "utc"}
    if "from" in event:
        event["from"] = new_numbers[event["from"]]
    if event.get("series") is not None:
        event["series"] = new_series.get(event["series"])
    for name in ("former", "rivals"):
        if name in event:  # without series that have no object in the copy
            event[name] = [new_series[digest] for digest in event[name] if digest in new_series]
    return event


def _entry(deidentifier: Deidentifier, record: Record, content: bytes, number: int) -> Entry:
    try:
        body = deidentifier.apply(content)
    except VolumeError as error:
        raise RunError(
            f"object {record.number} of the log: {error}; nothing is exported, because the copy "
            "would replay to other outcomes"
        ) from error
    kind = "volume" if raw.is_raw(content) else "dcm"
    header = {"name": f"{number:06d}.{kind}", "received_ns": record.header["received_ns"]}
    return Entry(Kind.OBJECT, header, body)


def _flush(journal: Journal, batch: list[Entry]) -> None:
    if batch:
        journal.append_objects(batch)
        batch.clear()
