"""Outcomes for programs that are built on asyncio."""

import asyncio
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

from rtdecode.client.find_endpoints import session_endpoints
from rtdecode.client.outcomes import Outcomes
from rtdecode.ports import OUTCOMES
from rtdecode.wire import Numbered, Status

POLL_S = 0.1
"""Interval at which the thread checks whether it must end, seconds."""


class AsyncOutcomes:
    """The outcomes of a service's run, as `Outcomes` gives them, in an event loop.

    A separate thread owns the sockets, so that it works in every event loop, also on Windows::

        async with AsyncOutcomes("tcp://127.0.0.1:7801") as outcomes:
            async for numbered in outcomes:
                ...

    Iterating ends with the run; iterating again waits for the next one.

    Parameters
    ----------
    outcomes, control, timeout_s, keys
        As for `Outcomes`.
    """

    def __init__(
        self,
        outcomes: str = OUTCOMES,
        control: str | None = None,
        timeout_s: float | None = None,
        keys: Path | str | None = None,
    ) -> None:
        self.status: Status | None = None
        """The newest status at the arrival of the newest outcome."""
        self._connect = partial(Outcomes, outcomes, control, POLL_S, keys)
        self._timeout_s = timeout_s
        self._items: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue()
        """Outcomes; `None` at the end of a run; as the last item, the error of the thread."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def of_session(
        cls, folder: Path, timeout_s: float | None = None, keys: Path | str | None = None
    ) -> Self:
        """Connect to the service that has a session folder open.

        Raises
        ------
        ConfigError
            No service has opened the folder yet.
        """
        endpoints = session_endpoints(folder)
        return cls(endpoints["outcomes"], endpoints["control"], timeout_s, keys)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises
        ------
        ConfigError
            The endpoint is not valid, or the keys cannot be used.
        """
        loop = asyncio.get_running_loop()
        connected = loop.create_future()
        self._thread = threading.Thread(
            target=self._follow, args=(loop, connected), name="rtdecode outcomes"
        )
        self._thread.start()
        try:
            await connected
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Numbered:
        """Wait for the next outcome.

        Raises
        ------
        StopAsyncIteration
            The run has ended.
        TimeoutError
            No outcome arrived within `timeout_s`.
        RunError
            The service stopped because of a fault; the error has the message of the service.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                item = await self._items.get()
        except TimeoutError:
            raise TimeoutError(f"no outcome arrived within {self._timeout_s} s") from None
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, Exception):
            self._items.put_nowait(item)  # raised again at the next call
            raise item
        return item

    def _follow(self, loop: asyncio.AbstractEventLoop, connected: "asyncio.Future[None]") -> None:
        """Pass on outcomes until the program stops; only this thread uses the sockets."""
        with suppress(RuntimeError):  # the loop was closed, so nothing waits any more
            try:
                with self._connect() as outcomes:
                    loop.call_soon_threadsafe(_done, connected)
                    while not self._stop.is_set():
                        self._pass_on(loop, outcomes)
            except Exception as error:  # noqa: BLE001  raised again in `__anext__`
                loop.call_soon_threadsafe(_done, connected, error)
                loop.call_soon_threadsafe(self._items.put_nowait, error)

    def _pass_on(self, loop: asyncio.AbstractEventLoop, outcomes: Outcomes) -> None:
        numbered: Numbered | None = None
        try:
            numbered = next(outcomes)
        except TimeoutError:
            return
        except StopIteration:
            pass
        loop.call_soon_threadsafe(self._take, numbered, outcomes.status)

    def _take(self, numbered: Numbered | None, status: Status | None) -> None:
        self.status = status
        self._items.put_nowait(numbered)


def _done(future: "asyncio.Future[None]", error: Exception | None = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
