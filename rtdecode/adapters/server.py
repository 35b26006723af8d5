"""A TCP server beside a session's outcomes: one thread for the sockets, one for the feed."""

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
"""At one time; the next one is turned away."""

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
    """Answer clients until `stop` is set.

    Parameters
    ----------
    listen
        Where.
    session
        The session's folder.
    receiver
        Called with each outcome, in the thread that also runs `handle`.
    handle
        Serves one client. Its connection errors do not affect other clients.
    stop
        Set from elsewhere.
    on_ready
        Called with the address, its port resolved, once clients can connect.
    keys
        As for `rtdecode.client.follower.follow`.

    Raises
    ------
    ConfigError
        The address is taken or not this machine's, or no service ever opened the session.
    """
    if listen.exposed:
        log.warning(
            "%s can be reached from other machines, and nothing protects this old protocol: "
            "whoever reaches the port can read the decisions",
            listen,
        )
    asyncio.run(_serve(listen, session, receiver, handle, stop, on_ready, keys))


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

    def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(clients) >= MAX_CLIENTS:
            writer.transport.abort()
            return
        client = loop.create_task(_attend(handle, reader, writer))
        clients.add(client)
        client.add_done_callback(clients.discard)

    try:
        server = await asyncio.start_server(welcome, listen.host, listen.port)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {listen} ({error.strerror}); another program may be there: stop it, "
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


async def _attend(
    handle: Handle, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one client, and close its connection whatever happens."""
    peer: socket.socket = writer.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        await handle(reader, writer)
    except OSError as error:  # a timeout is one
        log.info("a client is gone: %s %s", type(error).__name__, error)
        writer.transport.abort()
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
