"""Where a socket may listen."""

import ipaddress

from rtdecode.errors import ConfigError
from rtdecode.wire.messages import OUTCOMES_PORT

ANY_PORT = "tcp://127.0.0.1:*"
"""Whichever is free; the session's folder says which."""


def loopback(endpoint: str) -> str:
    """Return a ZeroMQ endpoint that only this machine can reach.

    Raises
    ------
    ConfigError
        The endpoint is not `tcp://127.x.x.x:PORT` or `tcp://localhost:PORT`.
    """
    scheme, _, rest = endpoint.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not (port.isdigit() or port == "*"):
        raise ConfigError(
            f"endpoint {endpoint!r}: an endpoint is tcp://ADDRESS:PORT, such as "
            f"tcp://127.0.0.1:{OUTCOMES_PORT}"
        )
    host = "127.0.0.1" if host == "localhost" else host
    try:
        local = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigError(
            f"endpoint {endpoint!r}: only this machine's own address (127.0.0.1) can be used; "
            "remote addresses need CURVE keys, which are not there yet"
        )
    return f"tcp://{host}:{port}"
