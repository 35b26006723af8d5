"""Outcomes as lines of JSON over TCP, for any language that has a socket.

A client connects and reads: the run's outcomes so far, then each as it comes. What it sends is
ignored. One that does not read is left after a while, and never delays another.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec

from rtdecode.adapters.address import Address
from rtdecode.adapters.server import serve_clients
from rtdecode.wire import Numbered, Status, to_message

PORT = 7804
PATIENCE_S = 5.0
"""How long a client may leave its full buffer unread."""


def run(
    session: Path,
    listen: Address,
    stop: Event,
    on_ready: Callable[[Address], None],
    keys: Path | None = None,
) -> None:
    """Send lines to whoever connects until `stop` is set.

    Parameters
    ----------
    session
        The folder of a session that is being served.
    listen
        Where clients connect.
    stop, on_ready, keys
        As for `rtdecode.adapters.server.serve_clients`.

    Raises
    ------
    ConfigError
        It cannot start.
    """
    lines = Lines()
    serve_clients(listen, session, lines, lines.send, stop, on_ready, keys)


class _Run:
    """One run's lines; clients follow it at their own pace, then its successor."""

    def __init__(self, key: tuple[str, int]) -> None:
        self.key = key
        self.lines: list[bytes] = []
        self.next: _Run | None = None
        self.changed = asyncio.Event()


class Lines:
    """The current run's lines, and whoever reads them."""

    def __init__(self) -> None:
        self._classes: tuple[str, ...] = ()
        self._run: _Run | None = None
        self._begun = asyncio.Event()

    def begin(self, status: Status) -> None:
        """Learn the classes' names."""
        self._classes = status.classes

    def take(self, numbered: Numbered) -> None:
        """Send an outcome to everyone; an earlier run's lines are kept for those behind only."""
        key = (numbered.session, numbered.run)
        if self._run is None or self._run.key != key:
            before, self._run = self._run, _Run(key)
            self._begun.set()
            if before is not None:
                before.next = self._run
                before.changed.set()
        message = {**msgspec.to_builtins(to_message(numbered)), "classes": self._classes}
        self._run.lines.append(msgspec.json.encode(message) + b"\n")
        changed, self._run.changed = self._run.changed, asyncio.Event()
        changed.set()

    async def send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send one client its lines until it goes."""
        sending = asyncio.ensure_future(self._send(writer))
        leaving = asyncio.ensure_future(_goodbye(reader))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        await self._begun.wait()
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


async def _goodbye(reader: asyncio.StreamReader) -> None:
    """Return once a client has closed; what it says meanwhile is not kept."""
    with contextlib.suppress(OSError):
        while await reader.read(1 << 12):
            pass
