"""The endpoints at which a socket may listen, and those to which a client connects."""

import ipaddress

from rtdecode.errors import ConfigError
from rtdecode.ports import OUTCOMES_PORT

ANY_PORT = "tcp://127.0.0.1:*"
"""A free port; the session's folder names it."""
_EVERYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to recognise


def listening(endpoint: str, *, has_keys: bool) -> str:
    """Return the endpoint to which a socket may be bound.

    Parameters
    ----------
    endpoint
        `tcp://ADDRESS:PORT`; `*` is every address of this computer, or a free port.
    has_keys
        Whether the socket requires keys. Without keys, other computers must not reach it.

    Raises
    ------
    ConfigError
        It is not an endpoint, or other computers can reach it without keys.
    """
    scheme, host, port = _split(endpoint)
    if scheme != "tcp" or not host or not (port.isdigit() or port == "*"):
        raise ConfigError(
            f"endpoint {endpoint!r}: an endpoint is tcp://ADDRESS:PORT, such as "
            f"tcp://127.0.0.1:{OUTCOMES_PORT}"
        )
    if not (has_keys or is_loopback(host)):
        raise ConfigError(
            f"endpoint {endpoint!r}: other computers can reach this address, therefore it needs "
            "CURVE keys; make them (rtdecode keys new) and give their folder (--keys), or use "
            "the address 127.0.0.1, which only this computer reaches"
        )
    return f"tcp://{'127.0.0.1' if host == 'localhost' else host}:{port}"


def reachable(endpoint: str) -> str:
    """Return the endpoint for a client on the same computer as the socket at `endpoint`."""
    scheme, host, port = _split(endpoint)
    return f"{scheme}://{_EVERYWHERE.get(host, host)}:{port}"


def _split(endpoint: str) -> tuple[str, str, str]:
    """Return scheme, host and port."""
    scheme, _, rest = endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    return scheme, host, port


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches a host's address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def on_this_computer(endpoint: str) -> bool:
    """Whether an endpoint has a loopback address, so that both sides have one monotonic clock."""
    return is_loopback(_split(endpoint)[1])
