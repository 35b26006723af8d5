"""The pack file: an append-only log of the objects and events of a session.

A file is a sequence of self-describing records, little endian::

    magic 4s | kind u8 | header length u32 | body length u64 | crc32 u32 | header JSON | body

The checksum covers kind, header and body. A crash can leave incomplete records at the end, which
were never acknowledged. `PackWriter` cuts them off when it opens the file, and keeps them in a
separate file.
"""

import os
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, overload

import msgspec

from rtdecode.errors import RunError

PACK = "objects.pack"
MAGIC = b"RTDr"
PREFIX = struct.Struct("<4sBIQI")
MAX_HEADER = 1 << 16
MAX_BODY = 1 << 31


class Kind(IntEnum):
    """The kind of a record."""

    OBJECT = 1
    """One object from the scanner, unchanged."""
    GIVE_UP = 2
    """A volume's deadline passed: the ledger gives it up."""
    START = 3
    """A run begins with the next record, or with the earlier record that `from` names."""
    END = 4
    """A run ends."""
    PAUSE = 5
    """Decisions are withheld from here on."""
    RESUME = 6
    """Decisions are published again from here on."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record before it is written."""

    kind: Kind
    header: dict[str, Any]
    """Small, and encodable as JSON."""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Record:
    """A record in the file, without its body."""

    number: int
    """Position in the log from 0."""
    kind: Kind
    header: dict[str, Any]
    body_offset: int
    body_length: int


class Records(Sequence[Record]):
    """The records of a pack. In memory an object takes 8 bytes: only its position.

    Parameters
    ----------
    path
        The pack; the header of an object is read from it when needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = array("Q")
        self._events: dict[int, Record] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | Sequence[Record]:
        numbers = range(len(self))[at]
        if isinstance(numbers, range):
            return [self[number] for number in numbers]
        event = self._events.get(numbers)
        return self._read(numbers) if event is None else event

    def events(self, kind: Kind) -> list[Record]:
        """Return the records of a kind without a body, in order."""
        return [record for record in self._events.values() if record.kind is kind]

    def add(self, record: Record, offset: int) -> None:
        """Add the next record, which begins at `offset`."""
        self._offsets.append(offset)
        if record.kind is not Kind.OBJECT:
            self._events[record.number] = record

    def _read(self, number: int) -> Record:
        with self._path.open("rb") as file:
            offset = self._offsets[number]
            file.seek(offset)
            _, kind, header_length, body_length, _ = PREFIX.unpack(_read(file, PREFIX.size))
            header = msgspec.json.decode(_read(file, header_length), type=dict[str, Any])
        at = offset + PREFIX.size + header_length
        return Record(number, Kind(kind), header, at, body_length)


def scan(file: BinaryIO, offset: int = 0, number: int = 0) -> Iterator[Record]:
    """Yield the records of `file`; stop at the first incomplete or damaged one.

    Parameters
    ----------
    file
        An open pack.
    offset, number
        Position of the first record in the file, and its number.

    Raises
    ------
    RunError
        An undamaged record is of a kind that this version does not know.
    """
    size = file.seek(0, os.SEEK_END)
    while offset + PREFIX.size <= size:
        file.seek(offset)
        magic, kind, header_length, body_length, checksum = PREFIX.unpack(_read(file, PREFIX.size))
        at = offset + PREFIX.size
        end = at + header_length + body_length
        if magic != MAGIC or header_length > MAX_HEADER or body_length > MAX_BODY or end > size:
            return
        content = _read(file, header_length + body_length)
        if zlib.crc32(content, kind) != checksum:
            return
        if kind not in list(Kind):
            raise RunError(
                f"record {number} of the session's log is of kind {kind}, which this version does "
                "not know; open the session with the version of rtdecode that wrote it"
            )
        header = msgspec.json.decode(content[:header_length], type=dict[str, Any])
        yield Record(number, Kind(kind), header, at + header_length, body_length)
        offset, number = end, number + 1


def of_run(records: Sequence[Record], start: Record) -> list[Record]:
    """Return the records of one run, in order.

    Parameters
    ----------
    records
        The whole log.
    start
        The run's start.
    """
    later = [first_of(r) for r in records[start.number + 1 :] if r.kind is Kind.START]
    own: list[Record] = []
    for record in records[first_of(start) : min(later, default=len(records))]:
        if record.kind is Kind.END:
            break
        if record.kind is not Kind.START:
            own.append(record)
    return own


def first_of(start: Record) -> int:
    """Return the number of the first record of the run that `start` begins."""
    return int(start.header.get("from", start.number + 1))


def read_body(file: BinaryIO, record: Record) -> bytes:
    """Return the bytes of `record` from an open pack."""
    file.seek(record.body_offset)
    return _read(file, record.body_length)


def sync_folder(folder: Path) -> None:
    """Make the names of new files in `folder` durable, where the system supports it."""
    if os.name != "posix":
        return  # NTFS makes names durable itself, and its folders cannot be opened
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(file: BinaryIO, length: int) -> bytes:
    parts: list[bytes] = []
    while length > 0:
        part = file.read(length)
        if not part:
            break
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
