"""What is refused at once, before anything is imported or compiled that takes seconds.

Nothing is made and nobody is answered here; what was free a moment ago is taken by `serve`.
"""

import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from rtdecode.adapters.address import parse_address
from rtdecode.adapters.pyneal_source import SCHEME
from rtdecode.errors import BundleError, ConfigError, check_all
from rtdecode.journal.sqlite import LOCK, lock_session
from rtdecode.service.open_source import check
from rtdecode.service.settings import ServiceSettings
from rtdecode.sources.dicom_address import parse_address as parse_dicom_address


def check_start(settings: ServiceSettings, *others: Callable[[], object]) -> None:
    """Refuse what cannot be served, as far as that is known without loading a decoder.

    Parameters
    ----------
    settings
        The service's.
    others
        Further checks of the command, each of which raises `ConfigError`.

    Raises
    ------
    ConfigError
        With every problem: of the settings, the source, the keys, the session's folder, the ports.
    """
    check_all(
        lambda: check(settings),
        lambda: check_place(settings.session),
        lambda: check_ports(settings),
        *others,
    )


def check_bundle(bundle: Path) -> None:
    """Refuse a bundle that is not there; `rtdecode.bundle.load` verifies what is.

    Raises
    ------
    BundleError
        The folder has no manifest.
    """
    manifest = bundle / "manifest.json"
    if not manifest.is_file():
        raise BundleError(f"{manifest}: missing; {bundle} is not a bundle (see rtdecode calibrate)")


def check_place(folder: Path) -> None:
    """Refuse a session's folder that another service has open, or that cannot be made or written.

    Raises
    ------
    ConfigError
        The message says which of it.
    """
    if (folder / LOCK).exists():
        lock_session(folder).close()
    place = nearest(folder)
    if not place.is_dir():
        raise ConfigError(
            f"session folder {folder} cannot be made, as {place} is a file; choose another place"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(
            f"nothing can be written to {place}; mend its permissions, or choose another place for "
            "the session"
        )


def nearest(folder: Path) -> Path:
    """Return what there is of a path: the folder in which the rest will be made."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 - `resolve` would follow links
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def check_ports(settings: ServiceSettings) -> None:
    """Refuse addresses at which something listens, or that are not this computer's.

    They are taken and let go again without listening: no client finds somebody there who does not
    answer.

    Raises
    ------
    ConfigError
        Naming each of them.
    """
    problems: list[str] = []
    with ExitStack() as held:
        for told, host, port in _listens(settings):
            try:
                held.enter_context(closing(_bound(host, port)))
            except OSError as error:
                problems.append(
                    f"cannot listen on {told} ({error.strerror}); another service may be running: "
                    "stop it, or choose another port or one of this computer's addresses"
                )
    if problems:
        raise ConfigError(problems)


def _listens(settings: ServiceSettings) -> Iterator[tuple[str, str, int]]:
    """Yield where the service is going to listen, in words, as IP address and as port.

    Left out is what only opening it can tell: names of interfaces, malformed addresses, any port.
    """
    endpoints = [settings.outcomes, settings.control]
    if settings.source.startswith("zmq:"):
        endpoints.append(settings.ingest)
    for endpoint in endpoints:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        host = {"localhost": "127.0.0.1", "*": "0.0.0.0"}.get(host, host.strip("[]"))  # noqa: S104 - when told only
        with suppress(ValueError):  # an interface's name; any port
            yield endpoint, str(ipaddress.ip_address(host)), int(port)
    with suppress(ConfigError):  # told by the check of the source
        if settings.source.startswith("dicom:"):
            receiver = parse_dicom_address(settings.source)
            yield f"{receiver.host}:{receiver.port} for DICOM", receiver.host, receiver.port
        elif settings.source.startswith(SCHEME):
            pyneal = parse_address(settings.source.removeprefix(SCHEME))
            yield f"{pyneal} for Pyneal's volumes", pyneal.host, pyneal.port


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket at an address, as those that will listen there are bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # What a service that has just ended leaves behind is not in the way.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made
