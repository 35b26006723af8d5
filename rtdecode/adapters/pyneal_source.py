"""Volumes from Pyneal's scanner programs: its volume stream as a source, `pyneal://HOST:PORT`.

Pyneal's senders connect a PAIR socket, say hello until it is echoed, and then send each volume in
two frames and wait for `received volIdx N`. A sender that never hears that waits for ever.
"""

import contextlib
import hashlib
import logging
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Self

import msgspec
import zmq
from msgspec.structs import replace
from zmq.utils.monitor import parse_monitor_message

from rtdecode import raw
from rtdecode.adapters.address import parse_address
from rtdecode.adapters.pyneal_message import affine, header_of, repetition_time, voxels_of
from rtdecode.clock import Clock
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.journal.pack import Kind, Record
from rtdecode.sources import Arrival, Context

SCHEME = "pyneal://"
MAX_MESSAGE_BYTES = 1 << 29
MAX_HELLO_BYTES = 1 << 10
POLL_MS = 100
"""How soon a request to stop is noticed."""
SILENT_POLLS = 10
"""So many without a word from a sender that has connected, and it is waiting for something."""

_NAME = re.compile(r"pyneal-(\d+) volume (\d+)")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Series:
    """What came of the newest series; the protocol names none, so they are counted.

    Neither a hello nor a pause tells a new run, as a sender may be started again within one: a
    volume that came before with other voxels does.
    """

    number: int = 1
    digests: dict[int, str] = field(default_factory=dict)
    """SHA-256 of each volume's object, by index."""

    @property
    def name(self) -> str:
        return f"pyneal-{self.number}"

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Return the newest series of a session that goes on."""
        series = cls()
        for record in records:
            named = _NAME.fullmatch(str(record.header.get("name")))
            if record.kind is not Kind.OBJECT or named is None:
                continue
            number, index = int(named[1]), int(named[2])
            if number > series.number:
                series = cls(number)
            if number == series.number:
                series.digests[index] = str(record.header["sha256"])
        return series


class PynealSource:
    """A PAIR socket for one of Pyneal's senders at a time.

    Volumes are numbered by `volIdx`; one that comes again is acknowledged, and counts once. One
    that cannot be used is answered `refused volIdx N`, so that its sender goes on. A sender that
    connects and says nothing may wait for an answer that was lost, with a service that died or on
    the way: it is told to go on, and says hello again if that was what it waited for.

    Parameters
    ----------
    address
        `pyneal://HOST:PORT`; a port of `*` takes a free one.
    context
        The service's ZeroMQ context.
    clock
        For the stamps.
    repetition_time_s
        The bundle's, which decides between seconds and milliseconds where both make sense; `nan`
        where there is none.
    recorded
        The session's log, where it goes on.
    """

    behind = False

    def __init__(
        self,
        address: str,
        context: Context,
        clock: Clock,
        repetition_time_s: float = math.nan,
        recorded: Sequence[Record] = (),
    ) -> None:
        self._address = parse_address(address.removeprefix(SCHEME))
        self._context = context
        self._clock = clock
        self._repetition_time_s = repetition_time_s
        self._stated: str | None = None
        self._index = 0
        self._series = _Series.of(recorded)
        self._socket: zmq.Socket[bytes]
        self._connections: zmq.Socket[bytes]
        self._senders: set[int] = set()
        """Descriptors of the connections that are open."""
        self._endpoint = ""

    def __enter__(self) -> Self:
        port = self._address.port or "*"
        try:
            self._open(f"tcp://{self._address.host}:{port}")
        except zmq.ZMQError as error:
            raise ConfigError(
                f"cannot listen on {self._address} for Pyneal's volumes ({error}); another program "
                "(Pyneal itself?) may be running: stop it or choose another port"
            ) from error
        self._endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        if self._address.exposed:
            log.warning(
                "%s can be reached from other machines, and Pyneal's protocol protects nothing: "
                "whoever reaches the port can send volumes",
                self._address,
            )
        return self

    def _open(self, endpoint: str) -> None:
        self._socket = self._context.socket(zmq.PAIR)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, 2)  # senders wait for each answer
        # A sender whose machine is gone makes room for the next one.
        for option, value in (("", 1), ("_IDLE", 5), ("_INTVL", 2), ("_CNT", 3)):
            self._socket.setsockopt(getattr(zmq, f"TCP_KEEPALIVE{option}"), value)
        events = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
        self._connections = self._socket.get_monitor_socket(events)
        self._senders.clear()
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._socket.closed:
            return
        self._socket.disable_monitor()
        self._connections.close()
        self._socket.close()

    @property
    def endpoint(self) -> str:
        """Where it listens, the port resolved."""
        return self._endpoint

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield each volume by itself, as its sender waits for the answer, until `stop` is set."""
        silent, waits = 0, False
        while not stop.is_set():
            came = self._socket.poll(POLL_MS)
            if self._connected():
                silent, waits = 0, True
            if not came:
                silent += 1
                if silent >= SILENT_POLLS and self._senders:
                    waits = self._freed(stop, waits=waits)
                continue
            frames = self._socket.recv_multipart()
            silent, waits = 0, False
            if len(frames) == 1 and len(frames[0]) <= MAX_HELLO_BYTES:
                self._answer(frames[0])
                continue
            arrival = self._taken(frames)
            if arrival is not None:
                yield [arrival]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Answer the sender of the volume last yielded."""
        if receipts == ["duplicate"]:
            log.warning(
                "Pyneal's volume %d came before, to the last byte, and does not count again (to "
                "play one recording twice, use another session folder)",
                self._index,
            )
        self._answer(f"received volIdx {self._index}")

    def _connected(self) -> bool:
        """Whether a sender has connected since the last call."""
        connected = False
        while self._connections.poll(0):
            event = parse_monitor_message(self._connections.recv_multipart())
            if event["event"] == zmq.EVENT_ACCEPTED:
                self._senders.add(event["value"])
                connected = True
            else:
                self._senders.discard(event["value"])
        return connected

    def _freed(self, stop: Event, *, waits: bool) -> bool:
        """Let a silent sender go on that has said nothing yet; return whether it still waits."""
        if self._socket.poll(0, zmq.POLLOUT):
            if not waits or len(self._senders) > 1:
                return waits
            self._answer("received: go on")
            return False
        # It came before its forerunner was gone: a PAIR socket never takes it in then. Its
        # connection has to break, so that it connects again.
        self.__exit__()
        while not stop.is_set():
            with contextlib.suppress(zmq.ZMQError):  # the port is free in a moment
                self._open(self._endpoint)
                break
            stop.wait(POLL_MS / 1e3)
        return False

    def _taken(self, frames: list[bytes]) -> Arrival | None:
        index: object = None
        try:
            header = header_of(frames)
            index = header.get("volIdx")
            stored, voxels = voxels_of(str(header.get("dtype")), frames[1])
            volume = self._volume(header, stored)
            raw.parse(raw.encode(volume, voxels), f"volume {volume.index}")
        except VolumeError as problem:
            log.warning("a volume from Pyneal is refused: %s", problem)
            shown = index if isinstance(index, int) else "?"
            self._answer(f"refused volIdx {shown}: see the log of rtdecode")
            return None
        self._index = volume.index
        content = self._placed(volume, voxels)
        name = f"{self._series.name} volume {volume.index}"
        return Arrival(name, content, self._clock.monotonic_ns())

    def _placed(self, volume: raw.RawHeader, voxels: bytes) -> bytes:
        """Return a volume's object in the series to which it belongs."""
        content = raw.encode(volume, voxels)
        digest = hashlib.sha256(content).hexdigest()
        if self._series.digests.get(volume.index, digest) != digest:
            self._series = _Series(self._series.number + 1)
            log.warning(
                "Pyneal's volume %d came before with other voxels: it begins %s",
                volume.index,
                self._series.name,
            )
            number = self._series.number
            volume = replace(volume, series=self._series.name, series_number=number)
            content = raw.encode(volume, voxels)
            digest = hashlib.sha256(content).hexdigest()
        self._series.digests[volume.index] = digest
        return content

    def _volume(self, header: dict[str, Any], dtype: str) -> raw.RawHeader:
        facts = {
            "series": self._series.name,
            "series_number": self._series.number,
            "index": header.get("volIdx"),
            "shape": header.get("shape"),
            "dtype": dtype,
            "affine": affine(header.get("affine")),
            "repetition_time_s": self._repetition_s(str(header.get("TR"))),
        }
        try:
            return msgspec.convert(facts, raw.RawHeader)
        except msgspec.MsgspecError as error:
            raise VolumeError(f"its header is not understood: {error}") from error

    def _repetition_s(self, stated: str) -> float | None:
        """Return the repetition time in seconds, and say once which unit it was taken for."""
        seconds, unit = repetition_time(stated, self._repetition_time_s)
        if stated != self._stated:
            self._stated = stated
            if seconds is None:
                log.warning("Pyneal's sender states no repetition time that makes sense (TR)")
            else:
                log.info("Pyneal's TR %g is taken for %s: %g s", float(stated), unit, seconds)
        return seconds

    def _answer(self, text: str | bytes) -> None:
        # Where it is away now, it hears of it by what it is told once it is back and silent.
        with contextlib.suppress(zmq.Again):
            self._socket.send(text if isinstance(text, bytes) else text.encode(), zmq.NOBLOCK)
