"""A TCP server for a session's outcomes: one thread for the clients, one for the service."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event

from rtdecode.adapters.address import Address
from rtdecode.client.follower import Receiver, follow_in_loop
from rtdecode.errors import ConfigError

MAX_CLIENTS = 200
"""Largest number of clients at one time; further clients are disconnected."""

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

log = logging.getLogger(__name__)


def serve_clients(
    listen: Address,
    session: Path,
    receiver: Receiver,
    handle: Handle,
    stop: Event,
    on_ready: Callable[[Address], None],
    keys: Path | None = None,
) -> None:
    """Serve clients until `stop` is set.

    Parameters
    ----------
    listen
        Address for clients.
    session
        The session's folder.
    receiver
        Called with each outcome, in the thread that also runs `handle`.
    handle
        Serves one client. Its connection errors do not affect other clients.
    stop
        Set by another thread.
    on_ready
        Called with the address and its actual port when clients can connect.
    keys
        As for `rtdecode.client.follower.follow`.

    Raises
    ------
    ConfigError
        The address is in use or not of this computer, or no service has opened the session yet.
    """
    if listen.exposed:
        log.warning(
            "other computers can reach %s, and this protocol has no protection: "
            "every program that reaches the port can read the decisions",
            listen,
        )
    asyncio.run(_serve(listen, session, receiver, handle, stop, on_ready, keys))


async def read_to_end(reader: asyncio.StreamReader) -> None:
    """Ignore the input from a client until it closes its side of the connection."""
    while await reader.read(1 << 12):
        pass


async def _serve(
    listen: Address,
    session: Path,
    receiver: Receiver,
    handle: Handle,
    stop: Event,
    on_ready: Callable[[Address], None],
    keys: Path | None,
) -> None:
    loop = asyncio.get_running_loop()
    clients: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(clients) >= MAX_CLIENTS:
            writer.transport.abort()
            return
        client = loop.create_task(_serve_client(handle, reader, writer))
        clients.add(client)
        client.add_done_callback(clients.discard)

    try:
        server = await asyncio.start_server(accept, listen.host, listen.port)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {listen} ({error.strerror}); another program may use it: stop it, "
            "or choose another port with --listen"
        ) from error
    try:
        on_ready(Address(listen.host, server.sockets[0].getsockname()[1]))
        await follow_in_loop(session, receiver, stop, keys)
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def _serve_client(
    handle: Handle, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one client, and close its connection in every case."""
    peer: socket.socket = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        await handle(reader, writer)
    except OSError as error:  # also a timeout
        log.info("a client has disconnected: %s %s", type(error).__name__, error)
        writer.transport.abort()
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
