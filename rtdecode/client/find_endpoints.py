"""Where a service listens."""

import json
from pathlib import Path

from rtdecode.errors import ConfigError
from rtdecode.wire import reachable


def session_endpoints(folder: Path) -> dict[str, str]:
    """Return where the service that last opened a session folder listens.

    Raises
    ------
    ConfigError
        No service has ever opened it.
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
    """Return the endpoint one port up."""
    address, _, port = endpoint.rpartition(":")
    if not port.isdigit():
        raise ConfigError(f"{endpoint!r} is no endpoint; it is tcp://ADDRESS:PORT")
    return f"{address}:{int(port) + 1}"
