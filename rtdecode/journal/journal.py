"""A session's folder: the pack of what came in, and an SQLite record of what was made of it."""

import hashlib
import logging
import secrets
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import msgspec

from rtdecode.errors import ConfigError, RunError
from rtdecode.journal import service_start, stimulus_events
from rtdecode.journal.pack import PACK, Entry, Kind, Pack, Record, Records, sync_folder
from rtdecode.journal.sqlite import RECORD, lock_session, read_outcome, write_errors
from rtdecode.wire import Numbered, outcome_to_message

CHECKPOINTS = "checkpoints"
FORMAT = "1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, bundle TEXT NOT NULL, classes TEXT NOT NULL,
    repetition_time_s REAL, started_utc TEXT NOT NULL, ended_utc TEXT) STRICT;
CREATE TABLE IF NOT EXISTS outcomes (
    sequence INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs,
    volume INTEGER NOT NULL, outcome TEXT NOT NULL, recorded_ns INTEGER,
    UNIQUE (run, volume)) STRICT;
CREATE TABLE IF NOT EXISTS late (sequence INTEGER PRIMARY KEY REFERENCES outcomes) STRICT;
CREATE TABLE IF NOT EXISTS marks (
    mark INTEGER PRIMARY KEY, run INTEGER NOT NULL, sequence INTEGER NOT NULL,
    marked_utc TEXT NOT NULL, text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS notices (
    record INTEGER PRIMARY KEY, run INTEGER NOT NULL, kind TEXT NOT NULL,
    text TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS tallies (
    run INTEGER PRIMARY KEY, objects INTEGER NOT NULL, unreadable INTEGER NOT NULL,
    left_out INTEGER NOT NULL, conflicts INTEGER NOT NULL) STRICT;
"""


log = logging.getLogger(__name__)


class EntryReceipt(StrEnum):
    """What became of an entry."""

    JOURNALLED = "journalled"
    DUPLICATE = "duplicate"
    """The same bytes are in the session already."""


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry's receipt, and its place in the log where it got one."""

    receipt: EntryReceipt
    record: Record | None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as its first record says."""

    run: int
    start: Record
    """Its header says by which bundle and rules."""
    ended: bool


class Journal:
    """A session folder, opened by one service at a time.

    `append_objects` may be called from any thread, everything else from the thread that opened it.

    Parameters
    ----------
    folder
        Created if it does not exist.

    Raises
    ------
    ConfigError
        Another service has the folder open, or it cannot be written.
    RunError
        What is in it was written by another version, or is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            _make(folder)
        except OSError as error:
            raise ConfigError(f"session folder {folder} cannot be made: {error}") from error
        self._mutex = threading.Lock()
        self._stamps: dict[int, tuple[int, bool]] = {}
        """Of outcomes, by their numbers: when they were durable and whether that was late; written
        with the next outcome."""
        with ExitStack() as opening, write_errors(folder):
            opening.enter_context(closing(lock_session(folder)))
            self._seen: set[bytes] = set()
            """SHA-256 of every object: some 120 bytes each."""
            self._pack = opening.enter_context(closing(Pack(folder / PACK, self._see)))
            self._record = opening.enter_context(
                closing(sqlite3.connect(folder / RECORD, isolation_level=None))
            )
            # FULL: an outcome survives power loss before anyone hears of it.
            self._record.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                + _SCHEMA
                + service_start.SCHEMA
                + stimulus_events.SCHEMA
            )
            if self._fact("format", FORMAT) != FORMAT:
                raise RunError(f"session {folder} was written by another version of rtdecode")
            self.session = self._fact("session", secrets.token_hex(6))
            self._resources = opening.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def checkpoints(self) -> Path:
        """The folder of the session's checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def records(self) -> Records:
        """The log so far."""
        return self._pack.records

    def append_objects(self, entries: Sequence[Entry]) -> list[Appended]:
        """Make what a source handed over durable, leaving out bytes that are there already.

        The bodies' SHA-256 and the time of day are added to the headers.

        Raises
        ------
        RunError
            The disk is full or failing; nothing of `entries` is kept then.
        """
        now = datetime.now(UTC).isoformat()
        with self._mutex:
            fresh: list[Entry | None] = []
            added: set[bytes] = set()
            for entry in entries:
                header = {**entry.header, "utc": now}
                if entry.kind is Kind.OBJECT:
                    digest = hashlib.sha256(entry.body).digest()
                    if digest in self._seen or digest in added:
                        fresh.append(None)
                        continue
                    added.add(digest)
                    header["sha256"] = digest.hex()
                fresh.append(Entry(entry.kind, header, entry.body))
            records = iter(self._pack.append([e for e in fresh if e is not None]))
            self._seen |= added
            return [
                Appended(EntryReceipt.DUPLICATE, None)
                if entry is None
                else Appended(EntryReceipt.JOURNALLED, next(records))
                for entry in fresh
            ]

    def append_event(self, kind: Kind, header: dict[str, Any], applied: int) -> Record | None:
        """Make an event durable if all earlier records were applied; else return `None`.

        So the log's order is the order in which things took effect, whatever threads did.

        Parameters
        ----------
        kind, header
            The event.
        applied
            How many records the caller has applied.
        """
        with self._mutex:
            if applied != len(self._pack.records):
                return None
            return self._append_event(kind, header)

    def append_start(self, header: dict[str, Any], first: int) -> Record:
        """Make durable that a run begins with a record that is in the log already.

        More objects may have come after that one; they count in the new run, too.

        Parameters
        ----------
        header
            The start's.
        first
            The record's number.
        """
        with self._mutex:
            return self._append_event(Kind.START, {**header, "from": first})

    def _append_event(self, kind: Kind, header: dict[str, Any]) -> Record:
        entry = Entry(kind, {**header, "utc": datetime.now(UTC).isoformat()})
        return self._pack.append([entry])[0]

    def body(self, record: Record) -> bytes:
        """Return an object's bytes."""
        return self._pack.body(record)

    def newest_run(self) -> RunInfo | None:
        """Return the last run that was begun."""
        starts = self._pack.records.events(Kind.START)
        if not starts:
            return None
        start = starts[-1]
        run = start.header["run"]
        # A crash between the end's record and its last outcomes leaves the run unfinished.
        query = "SELECT ended_utc FROM runs WHERE run = ? AND ended_utc IS NOT NULL"
        ended = self._record.execute(query, (run,)).fetchone() is not None
        return RunInfo(run, start, ended)

    def served(self, serving_: service_start.ServiceStart) -> None:
        """Note under what the session is served from here on."""
        with write_errors(self.folder):
            service_start.write(self._record, serving_)

    def run_began(
        self, run: int, bundle: str, classes: Sequence[str], repetition_time_s: float
    ) -> None:
        """Note a run in the record, once."""
        names = msgspec.json.encode(tuple(classes)).decode()
        with write_errors(self.folder):
            self._record.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, NULL)",
                (run, bundle, names, repetition_time_s, datetime.now(UTC).isoformat()),
            )

    def run_ended(self, run: int) -> None:
        """Note that a run is over."""
        with write_errors(self.folder):
            self._record.execute(
                "UPDATE runs SET ended_utc = ? WHERE run = ? AND ended_utc IS NULL",
                (datetime.now(UTC).isoformat(), run),
            )

    def record(self, numbered: Numbered) -> None:
        """Make one outcome durable.

        Raises
        ------
        RunError
            The disk is full or failing.
        """
        content = msgspec.json.encode(outcome_to_message(numbered.outcome)).decode()
        row = (numbered.sequence, numbered.run, numbered.index, content)
        with write_errors(self.folder), self._record:  # which is one transaction, or nothing
            self._record.execute("BEGIN")
            self._stamp()
            self._record.execute("INSERT INTO outcomes VALUES (?, ?, ?, ?, NULL)", row)
        self._stamps = {}
        # Linux lets open files be deleted: what is written to them is lost when they are closed.
        if not (self.folder / RECORD).exists():
            raise RunError(
                f"the session's record in {self.folder} was moved or deleted while it was written; "
                "put its folder back, or choose another session folder, and start again"
            )

    def stamp(self, sequence: int, recorded_ns: int, *, late: bool = False) -> None:
        """Note when an outcome had become durable; written together with the next one."""
        self._stamps[sequence] = (recorded_ns, late)

    def last_sequence(self) -> int:
        """Return the newest outcome's number, 0 where there is none."""
        return int(self._record.execute("SELECT max(sequence) FROM outcomes").fetchone()[0] or 0)

    def sequence_before(self, run: int) -> int:
        """Return the number after which the outcomes of `run` come."""
        query = "SELECT max(sequence) FROM outcomes WHERE run < ?"
        return int(self._record.execute(query, (run,)).fetchone()[0] or 0)

    def outcomes(self, since: int = 0, limit: int = -1) -> list[Numbered]:
        """Return the outcomes after sequence number `since`, oldest first."""
        rows = self._record.execute(
            "SELECT run, sequence, outcome, recorded_ns, late.sequence IS NOT NULL "
            "FROM outcomes LEFT JOIN late USING (sequence) "
            "WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (since, limit),
        )
        found = []
        for run, sequence, text, written_ns, written_late in rows:
            # Not written first: what a failing disk still holds can be read.
            recorded_ns, late = self._stamps.get(sequence, (written_ns, bool(written_late)))
            outcome = read_outcome(text, recorded_ns, late=late)
            found.append(Numbered(self.session, run, sequence, outcome))
        return found

    def mark(self, run: int, sequence: int, text: str) -> None:
        """Put an operator's remark into the record."""
        with write_errors(self.folder):
            self._record.execute(
                "INSERT INTO marks (run, sequence, marked_utc, text) VALUES (?, ?, ?, ?)",
                (run, sequence, datetime.now(UTC).isoformat(), text),
            )

    def present(self, event: stimulus_events.StimulusEvent) -> None:
        """Put a presented event into the record."""
        with write_errors(self.folder):
            stimulus_events.write(self._record, event)

    def note(self, record: int, run: int, kind: str, text: str) -> None:
        """Put what the operator was told of a record of the log into the record, once."""
        with write_errors(self.folder):
            self._record.execute(
                "INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?)", (record, run, kind, text)
            )

    def tally(
        self, run: int, *, objects: int, unreadable: int, left_out: int, conflicts: int
    ) -> None:
        """Note what a run's objects were, once it is over or the service stops."""
        row = (run, objects, unreadable, left_out, conflicts)
        with write_errors(self.folder):
            self._record.execute("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?, ?, ?)", row)

    def notices(self, run: int) -> list[tuple[str, str]]:
        """Return kind and text of a run's notices, in the log's order."""
        query = "SELECT kind, text FROM notices WHERE run = ? ORDER BY record"
        return self._record.execute(query, (run,)).fetchall()

    def close(self) -> None:
        """Close everything and let go of the folder."""
        with self._resources:
            try:
                self._stamp()
            except sqlite3.Error as error:
                # Nobody waits for these; whatever is worse has been told.
                log.warning("when the last outcomes were recorded cannot be written (%s)", error)

    def _see(self, record: Record) -> None:
        if record.kind is Kind.OBJECT:
            self._seen.add(bytes.fromhex(record.header["sha256"]))

    def _fact(self, name: str, value: str) -> str:
        self._record.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
        query = "SELECT value FROM facts WHERE name = ?"
        return str(self._record.execute(query, (name,)).fetchone()[0])

    def _stamp(self) -> None:
        query = "UPDATE outcomes SET recorded_ns = ? WHERE sequence = ?"
        stamps = self._stamps.items()
        self._record.executemany(query, [(at_ns, number) for number, (at_ns, _) in stamps])
        late = [(number,) for number, (_, is_late) in stamps if is_late]
        self._record.executemany("INSERT OR IGNORE INTO late VALUES (?)", late)


def _make(folder: Path) -> None:
    """Make a folder that outlives a power cut, with its parents."""
    made = [parent for parent in folder.parents if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *made):
        with suppress(PermissionError):  # it was there before, and may not be listed
            sync_folder(path.parent)
