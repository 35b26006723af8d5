"""A source for the volumes of Pyneal's scanner programs, `pyneal://HOST:PORT`.

Pyneal's senders connect a PAIR socket, send a hello until it is echoed, and then send each volume
in two frames and wait for `received volIdx N`. A sender without an answer waits for ever.
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
"""Interval at which the source checks whether it must stop, milliseconds."""
SILENT_POLLS = 10
"""After this number of polls without a message, a new sender gets an answer, see `PynealSource`."""

_NAME = re.compile(r"pyneal-(\d+) volume (\d+)")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Series:
    """The volumes of the newest series. The protocol does not name series, so they are counted.

    A hello or a pause does not mark a new run, because a sender may restart within a run. A new run
    is recognised by a volume that was received before with other voxels.
    """

    number: int = 1
    digests: dict[int, str] = field(default_factory=dict)
    """SHA-256 of each volume's object, by index."""

    @property
    def name(self) -> str:
        return f"pyneal-{self.number}"

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Return the newest series of a session that is resumed."""
        series = cls()
        for record in records:
            match = _NAME.fullmatch(str(record.header.get("name")))
            if record.kind is not Kind.OBJECT or match is None:
                continue
            number, index = int(match[1]), int(match[2])
            if number > series.number:
                series = cls(number)
            if number == series.number:
                series.digests[index] = str(record.header["sha256"])
        return series


class PynealSource:
    """A PAIR socket for one Pyneal sender at a time.

    Volumes are numbered by `volIdx`. A repeated volume is acknowledged, and counts once. The answer
    to an unusable volume is `refused volIdx N`, so that its sender continues. A silent new sender
    may wait for an answer that was lost on the way or in a crash. It gets an answer that lets it
    continue; if it waited for its hello, it sends the hello again.

    Parameters
    ----------
    address
        `pyneal://HOST:PORT`; with `*` as the port, a free port is used.
    context
        The service's ZeroMQ context.
    clock
        The clock of the stamps.
    repetition_time_s
        Repetition time of the bundle, which decides between seconds and milliseconds if both are
        possible; `nan` if there is none.
    recorded
        The session's log, if the session is resumed.
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
        self._repetition_text: str | None = None
        self._index = 0
        self._series = _Series.of(recorded)
        self._socket: zmq.Socket[bytes]
        self._connections: zmq.Socket[bytes]
        self._senders: set[int] = set()
        """Descriptors of the open connections."""
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
                "other computers can reach %s, and Pyneal's protocol has no protection: "
                "every program that reaches the port can send volumes",
                self._address,
            )
        return self

    def _open(self, endpoint: str) -> None:
        self._socket = self._context.socket(zmq.PAIR)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, 2)  # senders wait for each answer
        # Keep-alive detects a sender whose computer is off, so that the next sender is served.
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
        """The endpoint of the socket, with its port."""
        return self._endpoint

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield one volume at a time, as its sender waits for the answer, until `stop` is set."""
        silent, waits = 0, False
        while not stop.is_set():
            has_message = self._socket.poll(POLL_MS)
            if self._connected():
                silent, waits = 0, True
            if not has_message:
                silent += 1
                if silent >= SILENT_POLLS and self._senders:
                    waits = self._release_sender(stop, waits=waits)
                continue
            frames = self._socket.recv_multipart()
            silent, waits = 0, False
            if len(frames) == 1 and len(frames[0]) <= MAX_HELLO_BYTES:
                self._answer(frames[0])
                continue
            arrival = self._read_volume(frames)
            if arrival is not None:
                yield [arrival]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Answer the sender of the last volume."""
        if receipts == ["duplicate"]:
            log.warning(
                "Pyneal's volume %d was received before with the same bytes and does not count "
                "again (to play a recording again, use another session folder)",
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

    def _release_sender(self, stop: Event, *, waits: bool) -> bool:
        """Answer a silent new sender, so that it continues; return whether it still waits."""
        if self._socket.poll(0, zmq.POLLOUT):
            if not waits or len(self._senders) > 1:
                return waits
            self._answer("received: go on")
            return False
        # The sender connected before the previous one had disconnected. A PAIR socket never serves
        # it then. Break its connection, so that it connects again.
        self.__exit__()
        while not stop.is_set():
            with contextlib.suppress(zmq.ZMQError):  # the port is soon free
                self._open(self._endpoint)
                break
            stop.wait(POLL_MS / 1e3)
        return False

    def _read_volume(self, frames: list[bytes]) -> Arrival | None:
        index: object = None
        try:
            header = header_of(frames)
            index = header.get("volIdx")
            stored, voxels = voxels_of(str(header.get("dtype")), frames[1])
            volume = self._volume(header, stored)
            raw.parse(raw.encode(volume, voxels), f"volume {volume.index}")
        except VolumeError as problem:
            log.warning("a volume from Pyneal is refused: %s", problem)
            number = index if isinstance(index, int) else "?"
            self._answer(f"refused volIdx {number}: see the log of rtdecode")
            return None
        self._index = volume.index
        content = self._to_object(volume, voxels)
        name = f"{self._series.name} volume {volume.index}"
        return Arrival(name, content, self._clock.monotonic_ns())

    def _to_object(self, volume: raw.RawHeader, voxels: bytes) -> bytes:
        """Return the object of a volume; start a new series if the volume has new voxels."""
        content = raw.encode(volume, voxels)
        digest = hashlib.sha256(content).hexdigest()
        if self._series.digests.get(volume.index, digest) != digest:
            self._series = _Series(self._series.number + 1)
            log.warning(
                "Pyneal's volume %d was received before with other voxels: it starts %s",
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
        fields = {
            "series": self._series.name,
            "series_number": self._series.number,
            "index": header.get("volIdx"),
            "shape": header.get("shape"),
            "dtype": dtype,
            "affine": affine(header.get("affine")),
            "repetition_time_s": self._repetition_s(str(header.get("TR"))),
        }
        try:
            return msgspec.convert(fields, raw.RawHeader)
        except msgspec.MsgspecError as error:
            raise VolumeError(f"its header is not understood: {error}") from error

    def _repetition_s(self, text: str) -> float | None:
        """Return the repetition time in seconds, and log its unit once."""
        seconds, unit = repetition_time(text, self._repetition_time_s)
        if text != self._repetition_text:
            self._repetition_text = text
            if seconds is None:
                log.warning("Pyneal's sender gives no possible repetition time (TR)")
            else:
                log.info("Pyneal's TR %g is read as %s: %g s", float(text), unit, seconds)
        return seconds

    def _answer(self, text: str | bytes) -> None:
        # A sender that is disconnected now gets an answer when it is connected and silent again.
        with contextlib.suppress(zmq.Again):
            self._socket.send(text if isinstance(text, bytes) else text.encode(), zmq.NOBLOCK)
