"""Appends to a pack file; each batch is on the disk before it is acknowledged."""

import logging
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from rtdecode.errors import RunError
from rtdecode.journal.pack import (
    MAGIC,
    MAX_BODY,
    MAX_HEADER,
    PREFIX,
    Entry,
    Record,
    Records,
    read_body,
    scan,
    sync_folder,
)

log = logging.getLogger(__name__)


class PackWriter:
    """One pack file, open for appending; not thread-safe by itself.

    Parameters
    ----------
    path
        Created if it does not exist.
    on_record
        Called with each record that the file contains.

    Raises
    ------
    RunError
        The file cannot be opened or written.
    """

    def __init__(self, path: Path, on_record: Callable[[Record], object] = lambda _: None) -> None:
        self.path = path
        self.records = Records(path)
        self._end = 0
        try:
            with ExitStack() as opening:
                self._file: BinaryIO = opening.enter_context(path.open("a+b", buffering=0))
                for record in scan(self._file):
                    on_record(record)
                    self.records.add(record, self._end)
                    self._end = record.body_offset + record.body_length
                self._set_torn_tail_aside()
                sync_folder(path.parent)
                opening.pop_all()
        except OSError as error:
            raise RunError(f"{path}: the session's log cannot be opened: {error}") from error

    def append(self, entries: Sequence[Entry]) -> list[Record]:
        """Write `entries` and make them durable with one fsync.

        Raises
        ------
        RunError
            The disk is full or fails; none of `entries` is kept then.
        """
        chunks: list[bytes] = []
        added: list[Record] = []
        offset = self._end
        for entry in entries:
            head = _head(entry)
            number = len(self.records) + len(added)
            at = offset + len(head)
            added.append(Record(number, entry.kind, entry.header, at, len(entry.body)))
            chunks += (head, entry.body)
            offset = at + len(entry.body)
        try:
            _write_all(self._file, b"".join(chunks))
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):  # the next opening cuts it off
                self._file.truncate(self._end)
            raise RunError(
                f"{self.path}: the session's log cannot be written ({error}); make room on the "
                "disk, or have it repaired, and start again with the same session folder"
            ) from error
        if not self._in_place():
            raise RunError(
                f"{self.path}: the session's log was moved or deleted while it was written; put "
                "its folder back, or choose another session folder, and start again"
            )
        for record in added:
            self.records.add(record, self._end)
            self._end = record.body_offset + record.body_length
        return added

    def body(self, record: Record) -> bytes:
        """Return the bytes of one record."""
        with self.path.open("rb") as file:
            return read_body(file, record)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _in_place(self) -> bool:
        """Whether the path still leads to the open file: Linux can delete an open file."""
        if os.name != "posix":
            return True
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except OSError:
            return False

    def _set_torn_tail_aside(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        if size == self._end:
            return
        aside = self.path.with_name(f"{self.path.name}.torn-{self._end}")
        self._file.seek(self._end)
        aside.write_bytes(self._file.read())
        self._file.truncate(self._end)
        os.fsync(self._file.fileno())
        log.warning(
            "%s: the last %d bytes were incomplete when the service stopped and were never "
            "acknowledged; they are kept in %s",
            self.path.name,
            size - self._end,
            aside.name,
        )


def _head(entry: Entry) -> bytes:
    header = msgspec.json.encode(entry.header)
    if len(header) > MAX_HEADER or len(entry.body) > MAX_BODY:
        raise RunError(
            f"a record of {len(header)} + {len(entry.body)} bytes is larger than the limit of the "
            f"session's log ({MAX_HEADER} + {MAX_BODY}); sources must refuse such objects"
        )
    checksum = zlib.crc32(entry.body, zlib.crc32(header, entry.kind))
    return PREFIX.pack(MAGIC, entry.kind, len(header), len(entry.body), checksum) + header


def _write_all(file: BinaryIO, content: bytes) -> None:
    # One write to an unbuffered file may be partial, on Linux above 2 GiB.
    view = memoryview(content)
    while view:
        written = file.write(view)
        view = view[written:]
