"""Sockets that accept only clients with a known key."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import zmq
from zmq.auth.base import Authenticator

from rtdecode.keys.files import ClientKeys, ServiceKeys

DOMAIN = "rtdecode"
HANDSHAKE_MS = 3000
"""Time limit for a client to show its key, milliseconds."""
_STOP = "inproc://rtdecode.doorkeeper"

Context = zmq.Context[zmq.Socket[bytes]]


def lock(socket: "zmq.Socket[bytes]", keys: ServiceKeys) -> None:
    """Make a socket require keys, before it is bound. A `Doorkeeper` must be running."""
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    socket.setsockopt_string(zmq.ZAP_DOMAIN, DOMAIN)
    # Otherwise libzmq accepts every client that knows the public key if no doorkeeper answers.
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


def unlock(socket: "zmq.Socket[bytes]", keys: ClientKeys) -> None:
    """Make a socket show its keys, before it is connected."""
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.service)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


class Doorkeeper:
    """Checks the keys of clients for all sockets of a context, in its own thread.

    The thread keeps a new client from waiting for a volume, and a volume from waiting for a new
    client. (The thread of zmq.auth needs an event loop that Windows does not have by default.)

    Parameters
    ----------
    context
        The context of the sockets.
    keys
        The service's keys, with the keys of its clients; `None`: no socket requires keys.
    """

    def __init__(self, context: Context, keys: ServiceKeys | None) -> None:
        self._context = context
        self._keys = keys
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="doorkeeper")
        self._thread: Future[None]
        self._stop_sender: zmq.Socket[bytes]

    def __enter__(self) -> Self:
        if self._keys is None:
            return self
        self._stop_sender = self._context.socket(zmq.PUSH)
        self._stop_sender.setsockopt(zmq.LINGER, 0)
        self._stop_sender.bind(_STOP)
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
            The error that ended the thread; after it no client was accepted.
        """
        if self._keys is None:
            self._pool.shutdown()
            return
        if not self._thread.done():
            self._stop_sender.send(b"")
        self._pool.shutdown()
        self._stop_sender.close()
        self._thread.result()

    def _run(self, authenticator: Authenticator) -> None:
        requests = authenticator.zap_socket
        with self._context.socket(zmq.PULL) as stop, asyncio.Runner() as runner:
            stop.connect(_STOP)
            try:
                poller = zmq.Poller()
                poller.register(requests, zmq.POLLIN)
                poller.register(stop, zmq.POLLIN)
                while stop not in dict(poller.poll()):
                    while requests.poll(0):
                        runner.run(authenticator.handle_zap_message(requests.recv_multipart()))
            finally:
                authenticator.stop()
