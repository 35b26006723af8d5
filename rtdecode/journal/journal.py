"""A session's folder: the pack of its objects and an SQLite record of its outcomes."""

import hashlib
import logging
import secrets
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from rtdecode.errors import ConfigError, RunError
from rtdecode.journal import operator_notes, outcome_table, service_start, stimulus_events
from rtdecode.journal.pack import PACK, Entry, Kind, Record, Records, sync_folder
from rtdecode.journal.pack_writer import PackWriter
from rtdecode.journal.sqlite import RECORD, lock_session, write_errors
from rtdecode.wire import Numbered

FORMAT = "1"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    run INTEGER PRIMARY KEY, bundle TEXT NOT NULL, classes TEXT NOT NULL,
    repetition_time_s REAL, started_utc TEXT NOT NULL, ended_utc TEXT) STRICT;
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run and its start in the log."""

    run: int
    start: Record
    """Its header gives the bundle and the rules."""
    ended: bool


class Journal:
    """A session folder; one service at a time can open it.

    `append_objects` may be called from any thread, other methods from the thread that opened it.

    Parameters
    ----------
    folder
        Created if it does not exist.

    Raises
    ------
    ConfigError
        Another service has the folder open, or it cannot be written.
    RunError
        Another version wrote its content, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            _create(folder)
        except OSError as error:
            raise ConfigError(f"session folder {folder} cannot be created: {error}") from error
        self._mutex = threading.Lock()
        self._recordings: dict[int, tuple[int, bool]] = {}
        """See `outcome_table.Recordings`; written with the next outcome."""
        with ExitStack() as opening, write_errors(folder):
            opening.enter_context(closing(lock_session(folder)))
            self._digests: set[bytes] = set()
            """SHA-256 of every object, about 120 bytes each in memory."""
            self._pack = opening.enter_context(closing(PackWriter(folder / PACK, self._add_digest)))
            self._record = opening.enter_context(
                closing(sqlite3.connect(folder / RECORD, isolation_level=None))
            )
            # FULL: an outcome survives a loss of power before it is published.
            self._record.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                + _SCHEMA
                + outcome_table.SCHEMA
                + operator_notes.SCHEMA
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
        return self.folder / "checkpoints"

    @property
    def records(self) -> Records:
        """The log so far."""
        return self._pack.records

    def append_objects(self, entries: Sequence[Entry]) -> list[Record | None]:
        """Make the entries of a source durable, and return the record of each.

        An object of which the session already has the bytes is not written: its record is `None`.
        The SHA-256 of the body and the time of day are added to each header.

        Raises
        ------
        RunError
            The disk is full or fails; none of `entries` is kept then.
        """
        now = datetime.now(UTC).isoformat()
        with self._mutex:
            new: list[Entry | None] = []
            added: set[bytes] = set()
            for entry in entries:
                header = {**entry.header, "utc": now}
                if entry.kind is Kind.OBJECT:
                    digest = hashlib.sha256(entry.body).digest()
                    if digest in self._digests or digest in added:
                        new.append(None)
                        continue
                    added.add(digest)
                    header["sha256"] = digest.hex()
                new.append(Entry(entry.kind, header, entry.body))
            records = iter(self._pack.append([e for e in new if e is not None]))
            self._digests |= added
            return [None if entry is None else next(records) for entry in new]

    def append_event(self, kind: Kind, header: dict[str, Any], applied: int) -> Record | None:
        """Make an event durable if all earlier records were applied; else return `None`.

        The order of the log is therefore the order in which records took effect.

        Parameters
        ----------
        kind, header
            The event.
        applied
            The number of records that the caller has applied.
        """
        with self._mutex:
            if applied != len(self._pack.records):
                return None
            return self._append_event(kind, header)

    def append_start(self, header: dict[str, Any], first: int) -> Record:
        """Make durable that a run begins with an earlier record of the log.

        The records after that one belong to the new run, too.

        Parameters
        ----------
        header
            The start's.
        first
            The number of the run's first record.
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
        """Return the last run; `None` without any."""
        starts = self._pack.records.events(Kind.START)
        if not starts:
            return None
        start = starts[-1]
        run = start.header["run"]
        # After a crash between the record of the end and the last outcomes the run is unfinished.
        query = "SELECT ended_utc FROM runs WHERE run = ? AND ended_utc IS NOT NULL"
        ended = self._record.execute(query, (run,)).fetchone() is not None
        return RunInfo(run, start, ended)

    def add_service_start(self, start: service_start.ServiceStart) -> None:
        """Record the start of a service."""
        with write_errors(self.folder):
            service_start.write(self._record, start)

    def begin_run(
        self, run: int, bundle: str, classes: Sequence[str], repetition_time_s: float
    ) -> None:
        """Record a run; a recorded run is unchanged."""
        names = msgspec.json.encode(tuple(classes)).decode()
        with write_errors(self.folder):
            self._record.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?, ?, NULL)",
                (run, bundle, names, repetition_time_s, datetime.now(UTC).isoformat()),
            )

    def end_run(self, run: int) -> None:
        """Record that a run has ended."""
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
            The disk is full or fails.
        """
        with write_errors(self.folder), self._record:  # one transaction
            self._record.execute("BEGIN")
            outcome_table.write_recordings(self._record, self._recordings)
            outcome_table.write(self._record, numbered)
        self._recordings = {}
        # Linux can delete an open file: its content is lost when it is closed.
        if not (self.folder / RECORD).exists():
            raise RunError(
                f"the session's record in {self.folder} was moved or deleted while it was written; "
                "put its folder back, or choose another session folder, and start again"
            )

    def stamp(self, sequence: int, recorded_ns: int, *, late: bool = False) -> None:
        """Set when an outcome became durable; written together with the next outcome."""
        self._recordings[sequence] = (recorded_ns, late)

    def last_sequence(self) -> int:
        """Return the sequence number of the newest outcome, 0 without any."""
        return int(self._record.execute("SELECT max(sequence) FROM outcomes").fetchone()[0] or 0)

    def sequence_before(self, run: int) -> int:
        """Return the sequence number before the first outcome of `run`."""
        query = "SELECT max(sequence) FROM outcomes WHERE run < ?"
        return int(self._record.execute(query, (run,)).fetchone()[0] or 0)

    def outcomes(self, since: int = 0, limit: int = -1) -> list[Numbered]:
        """Return the outcomes after sequence number `since`, oldest first."""
        # Read from memory, not written first: a failing disk can still be read.
        rows = outcome_table.read(self._record, since, limit, self._recordings)
        return [Numbered(self.session, *row) for row in rows]

    def add_mark(self, run: int, sequence: int, text: str) -> None:
        """Record an operator's remark."""
        with write_errors(self.folder):
            operator_notes.write_mark(self._record, run, sequence, text)

    def add_event(self, event: stimulus_events.StimulusEvent) -> None:
        """Record an event of the stimulus program."""
        with write_errors(self.folder):
            stimulus_events.write(self._record, event)

    def add_notice(self, record: int, run: int, kind: str, text: str) -> None:
        """Record a message to the operator about a record of the log; one for each record."""
        with write_errors(self.folder):
            operator_notes.write_notice(self._record, record, run, kind, text)

    def write_tally(self, run: int, tally: operator_notes.Tally) -> None:
        """Record the tally of a run, when it ends or the service stops."""
        with write_errors(self.folder):
            operator_notes.write_tally(self._record, run, tally)

    def close(self) -> None:
        """Close the files and release the folder."""
        with self._resources:
            try:
                outcome_table.write_recordings(self._record, self._recordings)
            except sqlite3.Error as error:
                # These times are not essential; a more serious error was reported before.
                log.warning("the times of the last outcomes cannot be written (%s)", error)

    def _add_digest(self, record: Record) -> None:
        if record.kind is Kind.OBJECT:
            self._digests.add(bytes.fromhex(record.header["sha256"]))

    def _fact(self, name: str, value: str) -> str:
        self._record.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
        query = "SELECT value FROM facts WHERE name = ?"
        return str(self._record.execute(query, (name,)).fetchone()[0])


def _create(folder: Path) -> None:
    """Create a folder and its parents so that they survive a loss of power."""
    created = [parent for parent in folder.parents if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in (folder, *created):
        with suppress(PermissionError):  # an existing parent that may not be listed
            sync_folder(path.parent)
