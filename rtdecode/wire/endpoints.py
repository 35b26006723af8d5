"""Where a socket may listen."""

import ipaddress

from rtdecode.errors import ConfigError
from rtdecode.ports import OUTCOMES_PORT

ANY_PORT = "tcp://127.0.0.1:*"
"""Whichever is free; the session's folder says which."""
_EVERYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to recognise


def loopback(endpoint: str) -> str:
    """Return a ZeroMQ endpoint that only this machine can reach.

    Raises
    ------
    ConfigError
        The endpoint is not `tcp://127.x.x.x:PORT`, `tcp://[::1]:PORT` or `tcp://localhost:PORT`.
    """
    return listening(endpoint, guarded=False)


def listening(endpoint: str, *, guarded: bool) -> str:
    """Return where a socket may be bound.

    Parameters
    ----------
    endpoint
        `tcp://ADDRESS:PORT`; `*` is every address of this computer, or a free port.
    guarded
        Whether the socket asks for keys; else other computers must not reach it.

    Raises
    ------
    ConfigError
        It is no endpoint, or an address that other computers reach without keys.
    """
    host, port = _split(endpoint)
    if not (guarded or _is_local(host)):
        raise ConfigError(
            f"endpoint {endpoint!r}: other computers can reach this address, which needs CURVE "
            "keys; make them (rtdecode keys new) and give their folder (--keys), or use this "
            "computer's own address, 127.0.0.1"
        )
    return f"tcp://{host}:{port}"


def reachable(endpoint: str) -> str:
    """Return where a client on the same computer connects to what listens at `endpoint`."""
    scheme, _, rest = endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    return f"{scheme}://{_EVERYWHERE.get(host, host)}:{port}"


def _split(endpoint: str) -> tuple[str, str]:
    scheme, _, rest = endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not (port.isdigit() or port == "*"):
        raise ConfigError(
            f"endpoint {endpoint!r}: an endpoint is tcp://ADDRESS:PORT, such as "
            f"tcp://127.0.0.1:{OUTCOMES_PORT}"
        )
    return "127.0.0.1" if host == "localhost" else host, port


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
