"""The address at which an adapter listens."""

import ipaddress
from dataclasses import dataclass

from rtdecode.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address and a port of this computer."""

    host: str
    port: int
    """0: a free port."""

    @property
    def exposed(self) -> bool:
        """Whether other computers can reach it."""
        return not ipaddress.IPv4Address(self.host).is_loopback

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `HOST:PORT`; the host is an IPv4 address, `localhost`, or `*` for every address.

    Raises
    ------
    ConfigError
        The text is not such an address.
    """
    host, _, port = text.rpartition(":")
    host = {"localhost": "127.0.0.1", "*": "0.0.0.0"}.get(host, host)  # noqa: S104  only on request
    number = 0 if port == "*" else int(port) if port.isdecimal() and len(port) < 6 else -1
    try:
        address = str(ipaddress.IPv4Address(host))
    except ValueError:
        address = ""
    if not address or not 0 <= number < 1 << 16:
        raise ConfigError(
            f"address {text!r} must be HOST:PORT, such as 127.0.0.1:5556, where HOST is an IPv4 "
            "address of this computer, localhost, or * for all addresses"
        )
    return Address(address, number)
