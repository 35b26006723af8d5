"""Reads the outcomes of a session's service, also after the service restarts."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol, Self

from rtdecode.client.control import Control
from rtdecode.client.find_endpoints import session_endpoints
from rtdecode.client.outcomes import Outcomes
from rtdecode.errors import ConfigError
from rtdecode.types import Decision
from rtdecode.wire import Numbered, Status

POLL_S = 0.2
"""Interval at which `follow` checks `stop` and the service's endpoints, seconds."""
ANSWER_S = 1.0
"""Waiting time for an answer, seconds; a service answers between two volumes."""


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where the service is: the session's folder, which names the endpoints, or the endpoints."""

    session: Path | None
    outcomes: str = ""
    """Endpoint of the outcomes; not used with a session's folder."""
    control: str = ""
    """Endpoint for requests; not used with a session's folder."""
    keys: Path | None = None
    """Folder or secret file of this client's keys, for a service that requires keys."""

    def endpoints(self) -> tuple[str, str]:
        """Return the endpoints of the outcomes and for requests.

        Raises
        ------
        ConfigError
            The session's folder does not name them.
        """
        if self.session is None:
            return self.outcomes, self.control
        endpoints = session_endpoints(self.session)
        return endpoints["outcomes"], endpoints["control"]


class Follower:
    """Reads each outcome of a service once and in order, also after the service was restarted.

    It belongs to one thread. Connect it before it is used.

    Parameters
    ----------
    address
        Where the service is. The service may start later, stop, and move to other endpoints.
    answer_s
        Waiting time for an answer, seconds.
    """

    def __init__(self, address: ServiceAddress, answer_s: float = ANSWER_S) -> None:
        self._address = address
        self._answer_s = answer_s
        self._endpoints = ("", "")
        self._connection = ExitStack()
        self._last: Numbered | None = None
        self.outcomes: Outcomes
        """The subscription to the outcomes, once connected."""
        self.control: Control
        """The connection for requests, once connected."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def connect(self) -> None:
        """Connect to the service's endpoints; an earlier connection is closed.

        Raises
        ------
        ConfigError
            The endpoints are not known or not valid, or the keys cannot be used.
        """
        self._connection.close()
        self._endpoints = self._address.endpoints()
        outcomes = Outcomes(*self._endpoints, keys=self._address.keys)
        self.outcomes = self._connection.enter_context(outcomes)
        self._connect_control()
        self._connection.callback(self._close_control)

    def drop_requests(self) -> None:
        """Drop unanswered requests with their socket, so that a restarted service ignores them."""
        self._close_control()
        self._connect_control()

    def _close_control(self) -> None:
        self.control.close()

    def _connect_control(self) -> None:
        self.control = Control(self._endpoints[1], self._answer_s, self._address.keys)

    def moved(self) -> bool:
        """Whether the service has other endpoints than those of the connection.

        Raises
        ------
        ConfigError
            The session's folder does not name endpoints.
        """
        return self._address.endpoints() != self._endpoints

    def poll(self, wait_s: float) -> Numbered | None:
        """Return the next new outcome, or `None` if none arrives within `wait_s` seconds."""
        numbered = self.outcomes.poll(wait_s)
        # A new connection fetches the run from its first volume.
        while numbered is not None and _is_repeated(numbered, self._last):
            numbered = self.outcomes.poll(0.0)
        self._last = numbered or self._last
        return numbered

    def read(self, wait_s: float) -> list[Numbered]:
        """Return all new outcomes; wait for the first one for at most `wait_s` seconds."""
        received: list[Numbered] = []
        numbered = self.poll(wait_s)
        while numbered is not None:
            received.append(numbered)
            numbered = self.poll(0.0)
        return received


class Receiver(Protocol):
    """Takes what `follow` reads."""

    def begin(self, status: Status) -> None:
        """Take the status of a service before its outcomes; its classes may have changed."""
        ...

    def take(self, numbered: Numbered) -> None:
        """Take one outcome."""
        ...


def follow(session: Path, receiver: Receiver, stop: Event, keys: Path | None = None) -> None:
    """Pass a session's outcomes to a receiver, from the start of the run, until `stop` is set.

    The service may end, crash and start again, also at other endpoints.

    Parameters
    ----------
    session
        The session's folder.
    receiver
        Called in this thread.
    stop
        Set by another thread.
    keys
        Folder or secret file of this client's keys, for a service that requires keys.

    Raises
    ------
    ConfigError
        No service has opened the folder yet, or the keys cannot be used.
    WireError
        The service uses another version of the protocol.
    """
    with Follower(ServiceAddress(session, keys=keys)) as follower:
        while not stop.is_set():
            follower.connect()
            _follow_connection(follower, receiver, stop)


def _follow_connection(follower: Follower, receiver: Receiver, stop: Event) -> None:
    """Pass outcomes on until the service has moved to other endpoints."""
    status: Status | None = None
    while not (stop.is_set() or _moved(follower)):
        if status is None:
            status = _introduce(follower, receiver)
            continue
        numbered = follower.poll(POLL_S)
        if numbered is None:
            continue
        if not _matches(numbered, status):
            status = _introduce(follower, receiver)
        receiver.take(numbered)


def _moved(follower: Follower) -> bool:
    try:
        return follower.moved()
    except ConfigError:
        return False  # the file with the endpoints is just being written


def _introduce(follower: Follower, receiver: Receiver) -> Status | None:
    """Give the receiver the status of the service; return `None` if no service answers."""
    try:
        status = follower.control.status()
    except ConfigError:
        follower.drop_requests()
        return None
    receiver.begin(status)
    return status


def _is_repeated(numbered: Numbered, last: Numbered | None) -> bool:
    if last is None or numbered.session != last.session:
        return False
    return numbered.sequence <= last.sequence


def _matches(numbered: Numbered, status: Status) -> bool:
    """Whether an outcome has the session and the bundle of the status."""
    outcome = numbered.outcome
    if isinstance(outcome, Decision) and outcome.bundle != status.bundle:
        return False
    return numbered.session == status.session


async def follow_in_loop(
    session: Path, receiver: Receiver, stop: Event, keys: Path | None = None
) -> None:
    """Run `follow` in a separate thread and call the receiver in this event loop.

    Parameters
    ----------
    session, receiver, stop, keys
        See `follow`. What the receiver raises ends `follow` and is raised here.
    """
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(follow, session, _InLoop(loop, receiver), stop, keys)


class _InLoop:
    """Calls a receiver in an event loop from another thread, and waits until it has returned."""

    def __init__(self, loop: asyncio.AbstractEventLoop, receiver: Receiver) -> None:
        self._loop = loop
        self._receiver = receiver

    def begin(self, status: Status) -> None:
        self._call(partial(self._receiver.begin, status))

    def take(self, numbered: Numbered) -> None:
        self._call(partial(self._receiver.take, numbered))

    def _call(self, call: Callable[[], None]) -> None:
        async def run() -> None:
            call()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()
