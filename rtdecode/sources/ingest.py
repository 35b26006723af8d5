"""Objects that senders push over ZeroMQ; each is answered when it is durable."""

import hashlib
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Self

import zmq

from rtdecode import raw
from rtdecode.clock import Clock
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.keys import ServiceKeys, lock
from rtdecode.sources.base import Arrival
from rtdecode.wire import (
    MAX_HEADER_BYTES,
    IngestHeader,
    IngestReply,
    WireError,
    decode,
    encode,
    listening,
)

Context = zmq.Context[zmq.Socket[bytes]]
MAX_OBJECT_BYTES = 1 << 30
MAX_BATCH, MAX_BATCH_BYTES = 64, 1 << 25
MAX_WAITING = 64
"""Largest number of waiting objects of one sender; others wait at the sender."""
MAX_NAME = 255
POLL_MS = 100
"""Longest time until a request to stop is noticed."""


class IngestSource:
    """A ROUTER socket for REQ or DEALER clients.

    A message is an `IngestHeader` frame and the object's bytes; the answer is an `IngestReply`. A
    sender without an answer sends the object again; known bytes are answered `duplicate`.

    Parameters
    ----------
    endpoint
        The address; the port `*` takes a free one.
    context
        The service's ZeroMQ context.
    clock
        For the stamps.
    keys
        The service's keys, for which a `Doorkeeper` must run in the context. Without keys only
        loopback addresses are possible.
    """

    behind = False

    def __init__(
        self, endpoint: str, context: Context, clock: Clock, keys: ServiceKeys | None = None
    ) -> None:
        self._endpoint = endpoint
        self._keys = keys
        self._context = context
        self._clock = clock
        self._waiting: list[tuple[list[bytes], str]] = []
        self._socket: zmq.Socket[bytes]

    def __enter__(self) -> Self:
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_OBJECT_BYTES)
        self._socket.setsockopt(zmq.RCVHWM, MAX_WAITING)
        self._socket.setsockopt(zmq.IPV6, "[" in self._endpoint)
        if self._keys is not None:
            lock(self._socket, self._keys)
        try:
            self._socket.bind(listening(self._endpoint, has_keys=self._keys is not None))
        except ConfigError:
            self._socket.close()
            raise
        except zmq.ZMQError as error:
            self._socket.close()
            raise ConfigError(
                f"cannot listen on {self._endpoint} for objects ({error}); another service may be "
                "running: stop it, or choose another port or one of this computer's addresses"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def endpoint(self) -> str:
        """Its address, with the port."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield objects until `stop` is set; a malformed message is refused."""
        while not stop.is_set():
            if not self._socket.poll(POLL_MS):
                continue
            batch: list[Arrival] = []
            self._waiting = []
            size = 0
            while len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES and self._socket.poll(0):
                frames = self._socket.recv_multipart()
                size += sum(map(len, frames))
                self._take(frames, batch)
            if batch:
                yield batch

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Answer the senders of the last batch."""
        for (route, digest), receipt in zip(self._waiting, receipts, strict=True):
            reply = IngestReply(sha256=digest, receipt=receipt)
            self._socket.send_multipart([*route, encode(reply)])

    def _take(self, frames: list[bytes], batch: list[Arrival]) -> None:
        # REQ puts an empty frame after the route, DEALER does not; the answer mirrors it.
        cut = 2 if len(frames) > 1 and not frames[1] else 1
        route, message = frames[:cut], frames[cut:]
        digest = ""
        try:
            header = _header(message)
            digest = header.sha256
            content = _checked(header, message[1])
        except WireError as error:
            refused = IngestReply(sha256=digest, receipt="refused", error=str(error))
            self._socket.send_multipart([*route, encode(refused)])
            return
        self._waiting.append((route, header.sha256))
        batch.append(Arrival(header.name, content, self._clock.monotonic_ns()))


def _header(message: list[bytes]) -> IngestHeader:
    if len(message) != 2:
        raise WireError(f"an object is 2 frames, a JSON header and the bytes, not {len(message)}")
    if len(message[0]) > MAX_HEADER_BYTES:
        raise WireError(
            f"the header has {len(message[0])} bytes; it has at most {MAX_HEADER_BYTES}"
        )
    return decode(message[0], IngestHeader)


def _checked(header: IngestHeader, content: bytes) -> bytes:
    """Return an object's bytes if they agree with its header."""
    if not content:
        raise WireError("the object is empty")
    if len(header.name) > MAX_NAME or not header.name.isprintable():
        raise WireError(f"the object's name must be at most {MAX_NAME} printable characters")
    digest = hashlib.sha256(content).hexdigest()
    if digest != header.sha256.lower():
        raise WireError(
            f"the object's SHA-256 is {digest[:12]}..., its header says {header.sha256[:12]}...; "
            "send it again"
        )
    if header.kind == "volume":
        try:
            raw.parse(content, "the volume")
        except VolumeError as problem:
            raise WireError(str(problem)) from problem
    elif raw.is_raw(content):
        raise WireError('the object is a raw volume; its header must say "kind": "volume"')
    return content
