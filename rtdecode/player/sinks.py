"""Where a player puts objects: a folder, as scanners export, or a service's ingest socket."""

import hashlib
import os
from pathlib import Path
from typing import Protocol, Self

import zmq

from rtdecode.errors import ConfigError, RunError
from rtdecode.keys import client_keys, unlock
from rtdecode.wire import MAX_REPLY_BYTES, IngestHeader, IngestReply, decode, encode

WINDOW = 32
"""Objects on their way to the service before one has to be acknowledged."""
RESEND_S = 2.0
ATTEMPTS = 5


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


class IngestSink:
    """Sends objects to a service, again and again until each is acknowledged.

    Parameters
    ----------
    endpoint
        The service's ingest socket.
    keys
        The sender's, where the service asks for them: their folder, or the secret file.

    Raises
    ------
    ConfigError
        Keys that cannot be used.
    """

    def __init__(self, endpoint: str, keys: Path | None = None) -> None:
        own = None if keys is None else client_keys(keys)
        self._endpoint = endpoint
        self._pending: dict[str, tuple[str, bytes]] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
        self._socket.setsockopt(zmq.IPV6, "[" in endpoint)
        if own is not None:
            unlock(self._socket, own)

    def __enter__(self) -> Self:
        try:
            self._socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            self.__exit__()
            raise ConfigError(f"{self._endpoint} is no endpoint: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()

    def put(self, name: str, content: bytes) -> None:
        """Send one object; wait for earlier ones if many are on their way.

        Raises
        ------
        RunError
            The service refuses an object, or does not answer.
        """
        digest = hashlib.sha256(content).hexdigest()
        self._pending[digest] = (name, content)
        self._send(digest)
        self._settle(WINDOW)

    def flush(self) -> None:
        """Return once every object is acknowledged.

        Raises
        ------
        RunError
            The service refuses an object, or does not answer.
        """
        self._settle(0)

    def _send(self, digest: str) -> None:
        if not self._socket.poll(0, zmq.POLLOUT):
            return  # shut out at the door, or the service is too far behind: it is sent again
        name, content = self._pending[digest]
        header = IngestHeader(kind="dicom", name=name, sha256=digest)
        self._socket.send_multipart([encode(header), content])

    def _settle(self, left: int) -> None:
        attempts = 0
        while len(self._pending) > left or (self._pending and self._socket.poll(0)):
            if self._socket.poll(int(RESEND_S * 1e3)):
                reply = decode(self._socket.recv_multipart()[-1], IngestReply)
                if reply.receipt == "refused":
                    raise RunError(f"the service refuses an object: {reply.error}")
                self._pending.pop(reply.sha256, None)
                attempts = 0
                continue
            attempts += 1
            if attempts == ATTEMPTS:
                raise RunError(
                    f"no service answers at {self._endpoint}: {len(self._pending)} objects are not "
                    "acknowledged; start the service and play again, what it has is recognised"
                )
            for digest in self._pending:
                self._send(digest)
