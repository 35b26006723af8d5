"""Checks of the keys and of the service's ports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from rtdecode.check.context import CheckContext
from rtdecode.check.findings import Finding, green
from rtdecode.errors import ConfigError
from rtdecode.keys import Doorkeeper, list_keys
from rtdecode.service.open_source import endpoint_problems, open_keys
from rtdecode.service.sockets import Sockets
from rtdecode.wire import reachable

KEYS, PORTS = "keys", "ports"
_OWN = "this computer"


@contextmanager
def open_sockets(context: CheckContext) -> Iterator[Sockets]:
    """Open the outcomes and control sockets as the service does.

    Raises
    ------
    ConfigError
        A port is in use, or an address needs keys.
    """
    settings, keys = context.plan.settings, context.keys
    with (
        zmq.Context() as zmq_context,
        Doorkeeper(zmq_context, keys),
        Sockets(zmq_context, settings.outcomes, settings.control, keys) as sockets,
    ):
        yield sockets


def check_keys(context: CheckContext) -> Finding:
    """Read the service's keys and list the allowed clients."""
    folder = context.plan.settings.keys
    if folder is None:
        return green(KEYS, f"no keys are given, so only programs on {_OWN} can connect")
    keys = open_keys(context.plan.settings)
    assert keys is not None  # noqa: S101 - the settings name a folder
    names = [key.name for key in list_keys(folder) if key.kind == "allowed"]
    return green(
        KEYS,
        f"only its owner can read the service's key; allowed to connect: {', '.join(names)}",
        {"clients_allowed": len(keys.allowed)},
    )


def check_ports(context: CheckContext) -> Finding:
    """Open the service's ports and close them."""
    settings = context.plan.settings
    if problems := endpoint_problems(settings):
        raise ConfigError(problems)
    with open_sockets(context) as sockets:
        outcomes, control = sockets.outcomes, sockets.control
    who = f"programs on {_OWN}" if settings.keys is None else "programs whose keys are allowed"
    return green(PORTS, f"{outcomes} and {control} are free; {who} can connect")


def describe_endpoints(sockets: Sockets, keys: Path | None) -> str:
    """Return the endpoints for a stimulus program, in words."""
    outcomes, control = reachable(sockets.outcomes), reachable(sockets.control)
    return f"outcomes {outcomes}, control {control}" + (", with its keys" if keys else "")
