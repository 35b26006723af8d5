"""A finished session as a source: its objects, in the order in which they counted."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, Self

from rtdecode.clock import Clock
from rtdecode.errors import ConfigError
from rtdecode.journal.pack import Kind, Record, of_run, read_body, scan
from rtdecode.sources.base import Arrival

BATCH = 16


class RecordingSource:
    """Feeds one run of a recorded session again, deadlines where they fell, as fast as it goes.

    Parameters
    ----------
    path
        The session's folder or its `objects.pack`.
    clock
        For the stamps.
    run
        Which run; the last one where none is given.
    """

    endpoint = None

    def __init__(self, path: Path, clock: Clock, run: int | None = None) -> None:
        self._path = path / "objects.pack" if path.is_dir() else path
        self._clock = clock
        self._run = run
        self._file: BinaryIO
        self._records: list[Record] = []
        self.start: dict[str, Any] = {}
        """What the recorded run's first record says, once entered."""

    @property
    def behind(self) -> bool:
        """Always: the recording says itself where a deadline passed."""
        return True

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise ConfigError(
                f"recording {self._path} cannot be read ({error}); give the folder of a session"
            ) from error
        records = list(scan(self._file))
        starts = [r for r in records if r.kind is Kind.START]
        chosen = [r for r in starts if self._run in (None, r.header["run"])]
        self._records = of_run(records, chosen[-1]) if chosen else []
        if not self._records:
            self._file.close()
            which = "no run" if self._run is None else f"no run {self._run}"
            raise ConfigError(f"recording {self._path} holds {which}")
        self.start = chosen[-1].header
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield the run's objects and given-up volumes in their order, then end."""
        for first in range(0, len(self._records), BATCH):
            if stop.is_set():
                return
            yield [self._arrival(r) for r in self._records[first : first + BATCH]]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Do nothing: nobody waits for an answer."""

    def _arrival(self, record: Record) -> Arrival:
        now_ns = self._clock.monotonic_ns()
        if record.kind is Kind.GIVE_UP:
            return Arrival("", b"", now_ns, given_up=record.header["index"])
        if record.kind in (Kind.PAUSE, Kind.RESUME):
            return Arrival("", b"", now_ns, paused=record.kind is Kind.PAUSE)
        content = read_body(self._file, record)
        return Arrival(str(record.header["name"]), content, self._clock.monotonic_ns())
