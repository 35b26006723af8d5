"""Outcomes as lines of JSON over TCP, for any language that has a socket.

A client connects and reads the earlier outcomes of the run, then each new one. Input from a client
is ignored. A client that does not read is disconnected, and does not delay other clients.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import msgspec

from rtdecode.adapters.address import Address
from rtdecode.adapters.server import read_to_end, serve_clients
from rtdecode.wire import Numbered, Status, to_message

PATIENCE_S = 5.0
"""A client that does not read its full buffer for this time is disconnected, seconds."""


def run(
    session: Path,
    listen: Address,
    stop: Event,
    on_ready: Callable[[Address], None],
    keys: Path | None = None,
) -> None:
    """Send lines to every client until `stop` is set.

    Parameters
    ----------
    session
        Folder of a session that a service has opened.
    listen
        Address for clients.
    stop, on_ready, keys
        As for `rtdecode.adapters.server.serve_clients`.

    Raises
    ------
    ConfigError
        The adapter cannot start.
    """
    lines = Lines()
    serve_clients(listen, session, lines, lines.send, stop, on_ready, keys)


class _RunLines:
    """The lines of one run; each client reads them at its own pace, then those of the next."""

    def __init__(self, key: tuple[str, int]) -> None:
        self.key = key
        self.lines: list[bytes] = []
        self.next: _RunLines | None = None
        self.changed = asyncio.Event()


class Lines:
    """The lines of the current run, and the clients that read them."""

    def __init__(self) -> None:
        self._classes: tuple[str, ...] = ()
        self._run: _RunLines | None = None
        self._has_run = asyncio.Event()

    def begin(self, status: Status) -> None:
        """Use the names of the classes."""
        self._classes = status.classes

    def take(self, numbered: Numbered) -> None:
        """Send an outcome to every client. Only slow clients still read earlier runs."""
        key = (numbered.session, numbered.run)
        if self._run is None or self._run.key != key:
            previous, self._run = self._run, _RunLines(key)
            self._has_run.set()
            if previous is not None:
                previous.next = self._run
                previous.changed.set()
        message = {**msgspec.to_builtins(to_message(numbered)), "classes": self._classes}
        self._run.lines.append(msgspec.json.encode(message) + b"\n")
        changed, self._run.changed = self._run.changed, asyncio.Event()
        changed.set()

    async def send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send lines to one client until it disconnects."""
        sending = asyncio.ensure_future(self._send(writer))
        leaving = asyncio.ensure_future(_wait_for_close(reader))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        await self._has_run.wait()
        run, sent = self._run, 0
        while run is not None:
            changed = run.changed
            while sent < len(run.lines):
                writer.write(run.lines[sent])
                sent += 1
                await asyncio.wait_for(writer.drain(), PATIENCE_S)
            if run.next is not None:
                run, sent = run.next, 0
            else:
                await changed.wait()


async def _wait_for_close(reader: asyncio.StreamReader) -> None:
    """Return when a client has closed its connection; ignore what it sends."""
    with suppress(OSError):
        await read_to_end(reader)
