"""A recorded run as a source, and as volumes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, Self

from rtdecode import raw
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.journal.pack import PACK, Kind, Record, of_run, read_body, scan
from rtdecode.ledger import Ledger, ScanProtocol
from rtdecode.sources.base import Arrival
from rtdecode.types import Skipped, Stamps, Volume

BATCH = 16


class RecordingSource:
    """Plays a session's last run at full speed; deadlines pass where they passed before.

    Parameters
    ----------
    path
        The session's folder or its `objects.pack`.
    clock
        For the stamps.
    """

    endpoint = None
    behind = True
    """The recording itself contains the passed deadlines."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path / PACK if path.is_dir() else path
        self._clock = clock
        self._file: BinaryIO
        self._records: list[Record] = []
        self.start: dict[str, Any] = {}
        """The header of the run's start; empty before the source is opened."""

    def __enter__(self) -> Self:
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise ConfigError(
                f"recording {self._path} cannot be read ({error}); give the folder of a session"
            ) from error
        records = list(scan(self._file))
        starts = [r for r in records if r.kind is Kind.START]
        self._records = of_run(records, starts[-1]) if starts else []
        if not self._records:
            self._file.close()
            raise ConfigError(f"recording {self._path} holds no run")
        self.start = starts[-1].header
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield the run's objects, deadlines and pauses in their order, then end."""
        for first in range(0, len(self._records), BATCH):
            if stop.is_set():
                return
            yield [self._arrival(r) for r in self._records[first : first + BATCH]]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Do nothing: no sender waits for an answer."""

    def _arrival(self, record: Record) -> Arrival:
        now_ns = self._clock.monotonic_ns()
        if record.kind is Kind.GIVE_UP:
            return Arrival("", b"", now_ns, given_up=record.header["index"])
        if record.kind in (Kind.PAUSE, Kind.RESUME):
            return Arrival("", b"", now_ns, paused=record.kind is Kind.PAUSE)
        content = read_body(self._file, record)
        return Arrival(str(record.header["name"]), content, self._clock.monotonic_ns())


def recorded_volumes(path: Path) -> Iterator[Volume]:
    """Yield the volumes of a session's last run, in order.

    Parameters
    ----------
    path
        The session's folder or its `objects.pack`.

    Raises
    ------
    ConfigError
        It cannot be read, or holds no run.
    """
    with RecordingSource(path, SystemClock()) as source:
        ledger = recorded_ledger(source.start)
        for batch in source.batches(Event()):
            for arrival in batch:
                yield from _volumes(_place(ledger, arrival))
        yield from _volumes(ledger.close())


def recorded_ledger(start: Mapping[str, Any]) -> Ledger:
    """Return an empty ledger for a recorded run, from the header of its start."""
    protocol = ScanProtocol.from_facts(start.get("expected"))
    return Ledger(protocol=protocol, former=start.get("former", ()))


def _place(ledger: Ledger, arrival: Arrival) -> list[Volume | Skipped]:
    if arrival.given_up is not None:
        return ledger.give_up(arrival.given_up)
    if arrival.paused is not None:
        return []
    try:
        parsed = raw.parse_object(arrival.content, arrival.name)
    except VolumeError:
        return []  # the service reported it when it arrived
    stamps = Stamps(received_ns=arrival.received_ns)
    return ledger.add(parsed, stamps, arrival.received_ns)[1]


def _volumes(items: Sequence[Volume | Skipped]) -> Iterator[Volume]:
    return (item for item in items if isinstance(item, Volume))
