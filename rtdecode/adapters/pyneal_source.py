"""Volumes from Pyneal's scanner programs: its volume stream as a source, `pyneal://HOST:PORT`.

Pyneal's senders connect a PAIR socket, say hello until it is echoed, and then send each volume in
two frames and wait for `received volIdx N`. A sender that never hears that waits for ever.
"""

import logging
import math
import re
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, Self

import msgspec
import numpy as np
import zmq

from rtdecode import raw
from rtdecode.adapters.address import parse_address
from rtdecode.clock import Clock
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.sources import Arrival, Context

SCHEME = "pyneal://"
SERIES = "pyneal"
"""The protocol names no series, and a sender may be restarted within one: all it sends is one."""
MAX_MESSAGE_BYTES = 1 << 29
MAX_HEADER_BYTES = 1 << 16
MAX_HELLO_BYTES = 1 << 10
POLL_MS = 100
"""How soon a request to stop is noticed."""
SILENT_POLLS = 10
"""After so many polls without a word, a sender may be waiting for an answer it never got."""
REPETITION_TIMES_S = (0.02, 60.0)
"""What a scanner may do; a number outside is in the other unit."""
_DTYPE = re.compile(r"[<>=|]?(u?int(8|16|32|64)|float(16|32|64)|[iu][1248]|f[248])")

log = logging.getLogger(__name__)


class PynealSource:
    """A PAIR socket for one of Pyneal's senders at a time.

    Volumes are numbered by `volIdx`; resent ones are acknowledged, and known by their bytes or
    their number. One that cannot be used is answered `refused volIdx N: why`, so that its sender
    goes on.

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
    """

    behind = False

    def __init__(
        self, address: str, context: Context, clock: Clock, repetition_time_s: float = math.nan
    ) -> None:
        self._address = parse_address(address.removeprefix(SCHEME))
        self._context = context
        self._clock = clock
        self._repetition_time_s = repetition_time_s
        self._stated: str | None = None
        self._index = 0
        # A service that died may have left a sender without its answer.
        self._owed = "received, by a service that stopped"
        self._socket: zmq.Socket[bytes]

    def __enter__(self) -> Self:
        self._socket = self._context.socket(zmq.PAIR)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, 2)  # senders wait for each answer
        # A sender whose machine is gone makes room for the next one.
        for option, value in (("", 1), ("_IDLE", 5), ("_INTVL", 2), ("_CNT", 3)):
            self._socket.setsockopt(getattr(zmq, f"TCP_KEEPALIVE{option}"), value)
        port = self._address.port or "*"
        try:
            self._socket.bind(f"tcp://{self._address.host}:{port}")
        except zmq.ZMQError as error:
            self._socket.close()
            raise ConfigError(
                f"cannot listen on {self._address} for Pyneal's volumes ({error}); another program "
                "(Pyneal itself?) may be running: stop it or choose another port"
            ) from error
        if self._address.exposed:
            log.warning(
                "%s can be reached from other machines, and Pyneal's protocol protects nothing: "
                "whoever reaches the port can send volumes",
                self._address,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def endpoint(self) -> str:
        """Where it listens, the port resolved."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield each volume by itself, as its sender waits for the answer, until `stop` is set."""
        silent = 0
        while not stop.is_set():
            if not self._socket.poll(POLL_MS):
                silent = silent + 1 if self._socket.poll(0, zmq.POLLOUT) else 0
                if self._owed and silent >= SILENT_POLLS:
                    self._answer(self._owed)
                continue
            frames = self._socket.recv_multipart()
            self._owed, silent = "", 0
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

    def _taken(self, frames: list[bytes]) -> Arrival | None:
        index: object = None
        try:
            header = _header(frames)
            index = header.get("volIdx")
            stored, voxels = _voxels(str(header.get("dtype")), frames[1])
            volume = self._volume(header, stored)
            content = raw.encode(volume, voxels)
            name = f"Pyneal's volume {volume.index}"
            raw.parse(content, name)
        except VolumeError as problem:
            log.warning("a volume from Pyneal is refused: %s", problem)
            shown = index if isinstance(index, int) else "?"
            self._answer(f"refused volIdx {shown}: see the log of rtdecode")
            return None
        self._index = volume.index
        return Arrival(name, content, self._clock.monotonic_ns())

    def _volume(self, header: dict[str, Any], dtype: str) -> raw.RawHeader:
        facts = {
            "series": SERIES,
            "index": header.get("volIdx"),
            "shape": header.get("shape"),
            "dtype": dtype,
            "affine": _affine(header.get("affine")),
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
        content = text if isinstance(text, bytes) else text.encode()
        try:
            self._socket.send(content, zmq.NOBLOCK)
        except zmq.Again:
            # It is away for a moment, and waits; or gone, and its successor says hello first.
            self._owed = content.decode(errors="replace")
            return
        self._owed = ""


def repetition_time(stated: str, expected_s: float = math.nan) -> tuple[float | None, str]:
    """Return a stated repetition time in seconds, and the unit that it was in.

    Pyneal's own senders state seconds (Siemens, GE), milliseconds (its simulator) or whatever a
    PAR file has. The unit is the one in which a scanner could do it; where both make sense (20 to
    60), the one nearer to `expected_s`, or seconds.

    Parameters
    ----------
    stated
        A number.
    expected_s
        The bundle's repetition time; `nan` where there is none.
    """
    try:
        value = float(stated)
    except ValueError:
        value = math.nan
    shortest_s, longest_s = REPETITION_TIMES_S
    candidates = [
        (seconds, unit)
        for seconds, unit in ((value, "seconds"), (value / 1e3, "milliseconds"))
        if shortest_s <= seconds <= longest_s
    ]
    if not candidates:
        return None, "nothing"
    if expected_s > 0:
        candidates.sort(key=lambda candidate: abs(math.log(candidate[0] / expected_s)))
    return candidates[0]


def _header(frames: list[bytes]) -> dict[str, Any]:
    if len(frames) != 2:
        raise VolumeError(
            f"a volume is 2 frames, a JSON header and the voxels; {len(frames)} came, the first of "
            f"{len(frames[0])} bytes"
        )
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise VolumeError(f"its header has {len(frames[0])} bytes; {MAX_HEADER_BYTES} at most")
    try:
        return msgspec.json.decode(frames[0], type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise VolumeError(f"its header is no JSON: {error}") from error


def _voxels(stated: str, buffer: bytes) -> tuple[str, bytes]:
    """Return a type that a raw volume may have, and the voxels in it."""
    if not _DTYPE.fullmatch(stated):
        raise VolumeError(f"its voxels are of type {stated[:20]!r}, which is no number's")
    stored = np.dtype(stated)
    little = np.dtype("<f4") if stored == np.float16 else stored.newbyteorder("<")
    if little == stored:
        return stored.name, buffer
    if len(buffer) % stored.itemsize:
        raise VolumeError(f"its {len(buffer)} bytes are no whole number of {stated}")
    return little.name, np.frombuffer(buffer, stored).astype(little).tobytes()


def _affine(stated: object) -> object:
    """Return the affine, which Pyneal wraps as JSON text."""
    if not isinstance(stated, str):
        return stated
    try:
        return msgspec.json.decode(stated.encode())
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise VolumeError(f"its affine is no JSON: {error}") from error
