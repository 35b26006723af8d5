"""Destinations of played objects: an export folder, or a service's ingest socket."""

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
from rtdecode.report_kit import count
from rtdecode.wire import MAX_REPLY_BYTES, IngestHeader, IngestReply, decode, encode

WINDOW = 32
"""Maximum number of objects that wait for an acknowledgement."""
WINDOW_BYTES = 1 << 26
"""Maximum size of these objects together."""
SILENCE_S = 10.0
"""Time without an answer after which a service counts as unreachable."""
HEARTBEAT_S = 2.0
STEP_S = 0.5
"""Longest single wait. Ctrl-C takes effect within it."""


class Sink(Protocol):
    """A destination of objects."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def put(self, name: str, content: bytes) -> None:
        """Deliver one object."""
        ...

    def flush(self) -> None:
        """Wait until all objects are delivered."""
        ...


class FolderSink:
    """Writes files under a hidden name and renames them into place.

    Parameters
    ----------
    folder
        The folder; it is created if it does not exist.
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
        """Do nothing: no file is open."""

    def put(self, name: str, content: bytes) -> None:
        """Write one file, which appears in the folder only when it is complete."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def flush(self) -> None:
        """Do nothing: the files are durable."""


class NoAnswerError(RunError):
    """No service answers. The objects remain pending, and `flush` continues to send them."""


def raise_if_refused(reply: IngestReply) -> None:
    """Raise an error if the service refuses an object.

    Raises
    ------
    RunError
        The object is refused.
    """
    if reply.receipt == "refused":
        raise RunError(f"the service refuses an object: {reply.error}")


class IngestSink:
    """Sends objects to a service until each is acknowledged, also after it restarts.

    Parameters
    ----------
    endpoint
        The service's ingest socket.
    keys
        The sender's keys, if the service requires keys: their folder, or the secret file.
    on_reply
        Called with the answer to each object.

    Raises
    ------
    ConfigError
        The keys cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        keys: Path | None = None,
        on_reply: Callable[[IngestReply], None] = raise_if_refused,
    ) -> None:
        self._keys = None if keys is None else client_keys(keys)
        self._endpoint = endpoint
        self._on_reply = on_reply
        self._pending: dict[str, tuple[str, bytes]] = {}
        self._resend_on_connect = False
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._open()

    def __enter__(self) -> Self:
        try:
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            self.__exit__()
            raise ConfigError(f"{self._endpoint} is not an endpoint: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        self._context.term()

    def put(self, name: str, content: bytes) -> None:
        """Send one object; wait first if too many are pending.

        Raises
        ------
        RunError
            The service refuses an object (by default).
        NoAnswerError
            The service does not answer.
        """
        digest = hashlib.sha256(content).hexdigest()
        self._pending[digest] = (name, content)
        self._send(digest)
        self._receive_replies(WINDOW, WINDOW_BYTES)

    def flush(self) -> None:
        """Wait until all objects are acknowledged.

        Raises
        ------
        RunError
            The service refuses an object (by default).
        NoAnswerError
            The service does not answer.
        """
        self._receive_replies(0, 0)

    def _open(self) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
        self._socket.setsockopt(zmq.IPV6, "[" in self._endpoint)
        if self._keys is not None:
            unlock(self._socket, self._keys)
        # Heartbeats also detect an unplugged cable.
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
        """Connect again: ZeroMQ does not retry after a service refused the client's key."""
        self._close()
        self._open()
        self._socket.connect(self._endpoint)
        # Pending objects are sent when a service accepts the connection.
        self._resend_on_connect = True

    def _send(self, digest: str) -> None:
        name, content = self._pending[digest]
        header = IngestHeader(kind="dicom", name=name, sha256=digest)
        # If the connection was refused, the object is sent when a service accepts the client.
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart([encode(header), content], zmq.NOBLOCK)

    def _receive_replies(self, left: int, left_bytes: int) -> None:
        while self._pending:
            waits = len(self._pending) > left or self._pending_bytes() > left_bytes
            ready = self._wait(SILENCE_S if waits else 0.0)
            if self._monitor in ready:
                recv_monitor_message(self._monitor)
                self._handle_connect()
            if self._socket in ready:
                reply = decode(self._socket.recv_multipart()[-1], IngestReply)
                # An object that was sent twice is answered twice.
                if self._pending.pop(reply.sha256, None) or reply.receipt == "refused":
                    self._on_reply(reply)
            if not ready and waits:
                self._reopen()
                raise NoAnswerError(
                    f"no service answers at {self._endpoint}: "
                    f"{count(len(self._pending), 'object')} not acknowledged; start the "
                    "service (give --keys if it has keys) and send again; the service recognises "
                    "repeated objects"
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

    def _handle_connect(self) -> None:
        """Send all pending objects again after a reconnection, because a restart loses them."""
        if self._resend_on_connect:
            for digest in self._pending:
                self._send(digest)
        self._resend_on_connect = True
