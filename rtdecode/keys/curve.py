"""Sockets that only speak to those whose key is known."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import zmq
from zmq.auth.base import Authenticator

from rtdecode.keys.files import ClientKeys, ServiceKeys

DOMAIN = "rtdecode"
HANDSHAKE_MS = 3000
"""Who has not shown a key by then is put out."""
_STOP = "inproc://rtdecode.doorkeeper"

Context = zmq.Context[zmq.Socket[bytes]]


def lock(socket: "zmq.Socket[bytes]", keys: ServiceKeys) -> None:
    """Have a socket that will be bound ask for keys; a `Doorkeeper` must be at work."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
    # Without it libzmq lets everybody in who knows the public key, should no doorkeeper answer.
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


def unlock(socket: "zmq.Socket[bytes]", keys: ClientKeys) -> None:
    """Have a socket that will be connected show its keys."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.service)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


class Doorkeeper:
    """Says whose keys are known, for all sockets of a context, in a thread of its own.

    So a client at the door never waits for a volume, and a volume never for the door. (zmq.auth's
    own thread would need an event loop that Windows does not have by default.)

    Parameters
    ----------
    context
        Of the sockets.
    keys
        Whose clients are let in; nobody asks where there are none.
    """

    def __init__(self, context: Context, keys: ServiceKeys | None) -> None:
        self._context = context
        self._keys = keys
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="doorkeeper")
        self._thread: Future[None]
        self._bell: zmq.Socket[bytes]

    def __enter__(self) -> Self:
        if self._keys is None:
            return self
        self._bell = self._context.socket(zmq.PUSH)
        self._bell.setsockopt(zmq.LINGER, 0)
        self._bell.bind(_STOP)
        authenticator = Authenticator(self._context)
        authenticator.certs[DOMAIN] = dict.fromkeys(self._keys.allowed, True)
        authenticator.start()
        self._thread = self._pool.submit(self._run, authenticator)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; the sockets must be closed already.

        Raises
        ------
        Exception
            Whatever the thread died of: nobody was let in since.
        """
        if self._keys is None:
            self._pool.shutdown()
            return
        if not self._thread.done():
            self._bell.send(b"")
        self._pool.shutdown()
        self._bell.close()
        self._thread.result()

    def _run(self, authenticator: Authenticator) -> None:
        door = authenticator.zap_socket
        with self._context.socket(zmq.PULL) as stop, asyncio.Runner() as runner:
            stop.connect(_STOP)
            try:
                poller = zmq.Poller()
                poller.register(door, zmq.POLLIN)
                poller.register(stop, zmq.POLLIN)
                while stop not in dict(poller.poll()):
                    while door.poll(0):
                        runner.run(authenticator.handle_zap_message(door.recv_multipart()))
            finally:
                authenticator.stop()
