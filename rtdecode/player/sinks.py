"""Where a player puts objects: a folder, as scanners export, or a service's ingest socket."""

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from rtdecode.errors import ConfigError, RunError
from rtdecode.keys import client_keys, unlock
from rtdecode.wire import MAX_REPLY_BYTES, IngestHeader, IngestReply, decode, encode

WINDOW = 32
"""Objects on their way to the service before one has to be acknowledged."""
WINDOW_BYTES = 1 << 26
SILENCE_S = 10.0
"""How long nothing may be heard of a service before it is said to be gone."""
HEARTBEAT_S = 2.0
STEP_S = 0.5
"""Longest single wait; Ctrl-C is noticed after it, at the latest."""


class Sink(Protocol):
    """Somewhere to put objects."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def put(self, name: str, content: bytes) -> None:
        """Deliver one object."""
        ...

    def flush(self) -> None:
        """Return once everything has been delivered."""
        ...


class FolderSink:
    """Writes files under a hidden name and renames them into place.

    Parameters
    ----------
    folder
        Created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"folder {self._folder} cannot be made: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def put(self, name: str, content: bytes) -> None:
        """Write one file; whoever watches the folder sees all of it or nothing."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def flush(self) -> None:
        """Do nothing: files are durable already."""


class NoAnswerError(RunError):
    """No service acknowledges anything; what was put is kept, and `flush` goes on with it."""


def refuse_refusals(reply: IngestReply) -> None:
    """Stop at the first object that a service refuses.

    Raises
    ------
    RunError
        It is refused.
    """
    if reply.receipt == "refused":
        raise RunError(f"the service refuses an object: {reply.error}")


class IngestSink:
    """Sends objects to a service, and again whenever it comes back, until each is acknowledged.

    Parameters
    ----------
    endpoint
        The service's ingest socket.
    keys
        The sender's, where the service asks for them: their folder, or the secret file.
    settled
        Called with the answer to each object.

    Raises
    ------
    ConfigError
        Keys that cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        keys: Path | None = None,
        settled: Callable[[IngestReply], None] = refuse_refusals,
    ) -> None:
        self._keys = None if keys is None else client_keys(keys)
        self._endpoint = endpoint
        self._settled = settled
        self._pending: dict[str, tuple[str, bytes]] = {}
        self._greeted = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._open()

    def __enter__(self) -> Self:
        try:
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            self.__exit__()
            raise ConfigError(f"{self._endpoint} is no endpoint: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._context.term()

    def put(self, name: str, content: bytes) -> None:
        """Send one object; wait for earlier ones if many are on their way.

        Raises
        ------
        RunError
            The service refuses an object (by default).
        NoAnswerError
            It does not answer.
        """
        digest = hashlib.sha256(content).hexdigest()
        self._pending[digest] = (name, content)
        self._send(digest)
        self._settle(WINDOW, WINDOW_BYTES)

    def flush(self) -> None:
        """Return once every object is acknowledged.

        Raises
        ------
        RunError
            The service refuses an object (by default).
        NoAnswerError
            It does not answer.
        """
        self._settle(0, 0)

    def _open(self) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
        self._socket.setsockopt(zmq.IPV6, "[" in self._endpoint)
        if self._keys is not None:
            unlock(self._socket, self._keys)
        # A pulled cable is noticed, too.
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, int(HEARTBEAT_S * 1e3))
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, int(5 * HEARTBEAT_S * 1e3))
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def _close(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()

    def _reopen(self) -> None:
        """Knock again: ZeroMQ itself never does where a service did not let a client in."""
        self._close()
        self._open()
        self._socket.connect(self._endpoint)
        self._greeted = True  # whatever is pending is sent once the service answers

    def _send(self, digest: str) -> None:
        name, content = self._pending[digest]
        header = IngestHeader(kind="dicom", name=name, sha256=digest)
        # Where it is shut out at the door, perhaps just now, it is sent once a service lets it in.
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart([encode(header), content], zmq.NOBLOCK)

    def _settle(self, left: int, left_bytes: int) -> None:
        while self._pending:
            waits = len(self._pending) > left or self._pending_bytes() > left_bytes
            ready = self._wait(SILENCE_S if waits else 0.0)
            if self._monitor in ready:
                recv_monitor_message(self._monitor)
                self._greet()
            if self._socket in ready:
                reply = decode(self._socket.recv_multipart()[-1], IngestReply)
                # An object that was sent twice is answered twice.
                if self._pending.pop(reply.sha256, None) or reply.receipt == "refused":
                    self._settled(reply)
            if not ready and waits:
                self._reopen()
                raise NoAnswerError(
                    f"no service answers at {self._endpoint}: {len(self._pending)} objects are not "
                    "acknowledged; start the service (give --keys if it has keys) and send again, "
                    "what it has is recognised"
                )
            if not ready:
                return

    def _wait(self, limit_s: float) -> dict[object, int]:
        """Wait for a message, in short steps: on Windows, Ctrl-C acts only between them."""
        end_s = time.monotonic() + limit_s
        while True:
            left_s = max(0.0, end_s - time.monotonic())
            ready = dict(self._poller.poll(math.ceil(1e3 * min(left_s, STEP_S))))
            if ready or not left_s:
                return ready

    def _pending_bytes(self) -> int:
        return sum(len(content) for _, content in self._pending.values())

    def _greet(self) -> None:
        """Send again what a service that has come back may have lost."""
        if self._greeted:
            for digest in self._pending:
                self._send(digest)
        self._greeted = True
