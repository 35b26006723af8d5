"""Assembles the newest volume of a session's log while the log grows."""

from pathlib import Path

from rtdecode import raw
from rtdecode.dicom import Parsed
from rtdecode.dicom.assembler import Assembler
from rtdecode.errors import VolumeError
from rtdecode.journal.pack import Kind, Record, read_body, scan
from rtdecode.types import Stamps, Volume


class NewestVolume:
    """Follows a session's log and reads each record once.

    Parameters
    ----------
    pack
        The session's `objects.pack`.
    matrix
        Columns and rows of the run's images, if a bundle is known; other series are ignored.
    """

    def __init__(self, pack: Path, matrix: tuple[int, int] | None) -> None:
        self._pack = pack
        self._matrix = matrix
        self._offset = 0
        self._number = 0
        self._objects: list[Record] = []
        self._assembler: Assembler | None = None

    def update(self) -> Volume | None:
        """Return the newest complete volume, if there is one since the last call."""
        newest: Volume | None = None
        with self._pack.open("rb") as file:
            new: list[Record] = []
            for record in scan(file, self._offset, self._number):
                self._offset = record.body_offset + record.body_length
                self._number = record.number + 1
                if record.kind is Kind.START:
                    first = int(record.header.get("from", record.number))
                    self._objects = [r for r in self._objects if r.number >= first]
                    new = list(self._objects)
                    self._assembler = None
                elif record.kind is Kind.OBJECT:
                    self._objects.append(record)
                    new.append(record)
            if len(new) > 1:
                newest = self._single(read_body(file, new[-1]))
                if newest is not None:
                    return newest
            for record in new:
                parsed = self._parse(read_body(file, record))
                newest = (parsed and self._assemble(parsed)) or newest
        return newest

    def _single(self, content: bytes) -> Volume | None:
        """Return the volume of an object that is complete without earlier objects."""
        parsed = self._parse(content)
        if parsed is None or len(parsed.slabs) != 1 or parsed.slabs[0].temporal is None:
            return None
        slab = parsed.slabs[0]
        if slab.slices is None or slab.data.shape[2] < slab.slices:
            return None
        return self._assemble(parsed)

    def _parse(self, content: bytes) -> Parsed | None:
        try:
            parsed = raw.parse_object(content, "object")
        except VolumeError:
            return None  # the service reports it
        if parsed.series.kind or self._matrix not in (None, parsed.series.matrix):
            return None
        if self._assembler is None:
            self._assembler = Assembler(parsed.series)
        return parsed if self._assembler.series.same_run(parsed.series) else None

    def _assemble(self, parsed: Parsed) -> Volume | None:
        assembler = self._assembler
        if assembler is None:
            return None
        for slab in parsed.slabs:
            assembler.hold(slab, Stamps())
        whole = [index for index in assembler.indices() if assembler.is_whole(index)]
        if not whole:
            return None
        for index in assembler.indices():
            if index < whole[-1]:
                assembler.drop(index)
        try:
            return assembler.take(whole[-1])
        except VolumeError:
            return None
