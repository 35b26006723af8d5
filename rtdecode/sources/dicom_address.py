"""The address of a DICOM receiver: `dicom://HOST:PORT?aet=TITLE&from=TITLE,TITLE`."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from rtdecode.errors import ConfigError

FORM = "dicom://HOST:PORT?aet=TITLE&from=TITLE,TITLE"
LOOPBACK = "127.0.0.1"
TITLE = "RTDECODE"


@dataclass(frozen=True, slots=True)
class DicomAddress:
    """Address of a receiver, and the permitted senders."""

    host: str
    """An IP address."""
    port: int
    """0 takes a free port."""
    title: str
    """The receiver's AE title; senders must call it."""
    callers: tuple[str, ...]
    """AE titles of the permitted senders; empty permits every sender."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback


def parse_address(text: str) -> DicomAddress:
    """Read the address of a receiver.

    The default host is this machine's loopback address, the default `aet` is `RTDECODE`.

    Raises
    ------
    ConfigError
        The message lists every problem: a missing or unknown part, an invalid AE title, or an
        address that other machines can reach without a list of senders.
    """
    try:
        parts = urlsplit(text)
        host, port = _host(parts.hostname), parts.port
    except ValueError as error:
        raise ConfigError(f"source {text!r} is not an address ({error}); it is {FORM}") from error
    problems: list[str] = []
    if parts.scheme != "dicom" or parts.path not in ("", "/") or parts.fragment:
        problems.append(f"source {text!r} is not an address; it is {FORM}")
    if port is None:
        problems.append(f"source {text!r} names no port; 11112 is usual: {FORM}")
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = [name for name, values in options.items() if name not in ("aet", "from")]
    unknown += [name for name, values in options.items() if len(values) > 1]
    if unknown:
        problems.append(f"source {text!r}: {', '.join(unknown)} unknown or twice; it is {FORM}")
    title = options.get("aet", [TITLE])[0].strip()
    callers = (
        tuple(one.strip() for one in options["from"][0].split(",")) if "from" in options else ()
    )
    problems += [
        f"source {text!r}: {one!r} is not an AE title: 1 to 16 ASCII characters, no backslash"
        for one in (title, *callers)
        if not _is_title(one)
    ]
    address = DicomAddress(host, port or 0, title, callers)
    if not address.loopback and not callers:
        problems.append(
            f"source {text!r}: other machines can reach {host}, so name those that may send by "
            "their AE titles (&from=SCANNER), or leave the host out to listen on this machine only"
        )
    if problems:
        raise ConfigError(problems)
    return address


def _host(name: str | None) -> str:
    """Return an IP address.

    Raises
    ------
    ValueError
        It is a host name.
    """
    if name in (None, "localhost"):
        return LOOPBACK
    return str(ipaddress.ip_address(name))


def _is_title(text: str) -> bool:
    return 1 <= len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text
