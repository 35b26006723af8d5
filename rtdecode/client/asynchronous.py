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
"""How soon the thread notices that it is to end."""


class AsyncOutcomes:
    """The outcomes of a service's run, as `Outcomes` gives them, in an event loop.

    A thread of its own owns the sockets, so that every event loop will do, Windows' as well::

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
        """What the service had last published about itself when the newest outcome came."""
        self._connect = partial(Outcomes, outcomes, control, POLL_S, keys)
        self._timeout_s = timeout_s
        self._came: asyncio.Queue[Numbered | Exception | None] = asyncio.Queue()
        """Outcomes; `None` where a run ended; at last, what went wrong."""
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
            No service has ever opened it.
        """
        endpoints = session_endpoints(folder)
        return cls(endpoints["outcomes"], endpoints["control"], timeout_s, keys)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises
        ------
        ConfigError
            No endpoint, or keys that cannot be used.
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
            Nothing came for `timeout_s`.
        RunError
            The service stopped because of a fault; the message is the service's.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                came = await self._came.get()
        except TimeoutError:
            raise TimeoutError(f"no outcome came for {self._timeout_s} s") from None
        if came is None:
            raise StopAsyncIteration
        if isinstance(came, Exception):
            self._came.put_nowait(came)  # nothing comes after it, whoever asks again
            raise came
        return came

    def _follow(self, loop: asyncio.AbstractEventLoop, connected: "asyncio.Future[None]") -> None:
        """Hand over what comes, until told to stop; the sockets never leave this thread."""
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            try:
                with self._connect() as outcomes:
                    loop.call_soon_threadsafe(_done, connected)
                    while not self._stop.is_set():
                        self._hand_over(loop, outcomes)
            except Exception as error:  # noqa: BLE001  raised again where outcomes are waited for
                loop.call_soon_threadsafe(_done, connected, error)
                loop.call_soon_threadsafe(self._came.put_nowait, error)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, outcomes: Outcomes) -> None:
        came: Numbered | None = None
        try:
            came = next(outcomes)
        except TimeoutError:
            return
        except StopIteration:
            pass
        loop.call_soon_threadsafe(self._take, came, outcomes.status)

    def _take(self, came: Numbered | None, status: Status | None) -> None:
        self.status = status
        self._came.put_nowait(came)


def _done(future: "asyncio.Future[None]", error: Exception | None = None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
