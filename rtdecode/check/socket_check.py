"""Who may connect, and whether the service's ports are free."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from rtdecode.check.context import Subject
from rtdecode.check.findings import Finding, green
from rtdecode.errors import ConfigError
from rtdecode.keys import Doorkeeper, list_keys
from rtdecode.service.open_source import endpoint_problems, open_keys
from rtdecode.service.sockets import Sockets
from rtdecode.wire import reachable

KEYS, PORTS = "keys", "ports"
_OWN = "this computer only"


@contextmanager
def opened(subject: Subject) -> Iterator[Sockets]:
    """Open the outcomes and control sockets just as the service does.

    Raises
    ------
    ConfigError
        A port is taken, or an address needs keys.
    """
    settings, keys = subject.plan.settings, subject.keys
    with (
        zmq.Context() as context,
        Doorkeeper(context, keys),
        Sockets(context, settings.outcomes, settings.control, keys) as sockets,
    ):
        yield sockets


def check_keys(subject: Subject) -> Finding:
    """Read the service's keys and say who is allowed."""
    folder = subject.plan.settings.keys
    if folder is None:
        return green(KEYS, f"none are given, so programs on {_OWN} can connect")
    keys = open_keys(subject.plan.settings)
    assert keys is not None  # noqa: S101 - they are named
    names = [key.name for key in list_keys(folder) if key.kind == "allowed"]
    return green(
        KEYS,
        f"the service's key is there and its owner's alone; allowed to connect: {', '.join(names)}",
        {"clients_allowed": len(keys.allowed)},
    )


def check_ports(subject: Subject) -> Finding:
    """Take the service's ports, and let go of them."""
    settings = subject.plan.settings
    if problems := endpoint_problems(settings):
        raise ConfigError(problems)
    with opened(subject) as sockets:
        taken = (sockets.outcomes, sockets.control)
    who = _OWN if settings.keys is None else "programs whose keys are allowed"
    return green(PORTS, f"{taken[0]} and {taken[1]} are free; they are for {who}")


def connects_to(sockets: Sockets, keys: Path | None) -> str:
    """Say where a stimulus program has to connect."""
    outcomes, control = reachable(sockets.outcomes), reachable(sockets.control)
    return f"outcomes {outcomes}, control {control}" + (", with its keys" if keys else "")
