"""Finds the endpoints of a service."""

import json
from pathlib import Path

from rtdecode.errors import ConfigError
from rtdecode.wire import reachable


def session_endpoints(folder: Path) -> dict[str, str]:
    """Return the endpoints of the service that last opened a session folder.

    Raises
    ------
    ConfigError
        No service has opened the folder yet.
    """
    path = folder / "endpoints.json"
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}); give the folder of a session that is being served"
        ) from error
    return {name: reachable(str(endpoint)) for name, endpoint in content.items() if endpoint}


def next_port(endpoint: str) -> str:
    """Return the endpoint with the next port."""
    address, _, port = endpoint.rpartition(":")
    if not port.isdigit():
        raise ConfigError(f"{endpoint!r} is not an endpoint; an endpoint is tcp://ADDRESS:PORT")
    return f"{address}:{int(port) + 1}"
