"""A session's outcomes for an adapter: each once and in order, across restarts of its service."""

from pathlib import Path
from threading import Event
from typing import Protocol

from rtdecode.client import Control, Outcomes, session_endpoints
from rtdecode.errors import ConfigError
from rtdecode.types import Decision
from rtdecode.wire import Numbered, Status

POLL_S = 0.2
"""How soon a request to stop, and a service at new addresses, is noticed."""
ANSWER_S = 1.0


class Adapter(Protocol):
    """Where outcomes go; both methods are called by the thread that runs `follow`."""

    def begin(self, status: Status) -> None:
        """Take note of a service, before its outcomes; its classes may differ from the last."""
        ...

    def take(self, numbered: Numbered) -> None:
        """Pass on one outcome."""
        ...


def follow(session: Path, adapter: Adapter, stop: Event, keys: Path | None = None) -> None:
    """Hand a session's outcomes to an adapter, from the run's first on, until `stop` is set.

    The service may end, crash and be started again, at other addresses too: its session folder
    says where.

    Parameters
    ----------
    session
        The folder.
    adapter
        Where to.
    stop
        Set from elsewhere.
    keys
        The adapter's, where the service asks for them: their folder, or the secret file.

    Raises
    ------
    ConfigError
        No service has ever opened the folder, or keys that cannot be used.
    WireError
        The service speaks another version.
    """
    last: Numbered | None = None
    endpoints = session_endpoints(session)
    while not stop.is_set():
        here, service = endpoints, None
        with Outcomes(here["outcomes"], here["control"], keys=keys) as outcomes:
            while not stop.is_set() and endpoints == here:
                endpoints = _newest(session, here)
                if service is None:
                    service = _introduced(here["control"], adapter, keys)
                    continue
                numbered = outcomes.poll(POLL_S)
                if numbered is None or _came_before(numbered, last):
                    continue
                if _of_another(numbered, service):
                    service = _introduced(here["control"], adapter, keys)
                adapter.take(numbered)
                last = numbered


def _newest(session: Path, here: dict[str, str]) -> dict[str, str]:
    """Return where the session's service is now."""
    try:
        return session_endpoints(session)
    except ConfigError:
        return here  # it is being written just now


def _introduced(control: str, adapter: Adapter, keys: Path | None) -> Status | None:
    """Tell the adapter of the service, where one answers."""
    try:
        with Control(control, ANSWER_S, keys) as asked:
            status = asked.status()
    except ConfigError:
        return None
    adapter.begin(status)
    return status


def _came_before(numbered: Numbered, last: Numbered | None) -> bool:
    if last is None or numbered.session != last.session:
        return False
    return numbered.sequence <= last.sequence


def _of_another(numbered: Numbered, service: Status) -> bool:
    """Whether an outcome is not of the session, or not of the bundle, that was told of."""
    outcome = numbered.outcome
    decided = isinstance(outcome, Decision) and outcome.bundle != service.bundle
    return decided or numbered.session != service.session
