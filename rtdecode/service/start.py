"""Checks before a service starts, without slow imports and without compiling.

The checks create nothing and answer no request; `serve` opens folders and ports itself.
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
from rtdecode.service.open_source import check_settings
from rtdecode.service.settings import ServiceSettings
from rtdecode.sources.dicom_address import parse_address as parse_dicom_address


def check_start(settings: ServiceSettings, *others: Callable[[], object]) -> None:
    """Make every check that needs no decoder.

    Parameters
    ----------
    settings
        The service's.
    others
        Further checks of the command, each of which raises `ConfigError`.

    Raises
    ------
    ConfigError
        The message lists every problem of settings, source, keys, session folder and ports.
    """
    check_all(
        lambda: check_settings(settings),
        lambda: check_session_folder(settings.session),
        lambda: check_ports(settings),
        *others,
    )


def check_bundle(bundle: Path) -> None:
    """Refuse a missing bundle; `rtdecode.bundle.load` verifies the files.

    Raises
    ------
    BundleError
        The folder has no manifest.
    """
    manifest = bundle / "manifest.json"
    if not manifest.is_file():
        raise BundleError(f"{manifest}: missing; {bundle} is not a bundle (see rtdecode calibrate)")


def check_session_folder(folder: Path) -> None:
    """Refuse a session folder that another service has open, or that cannot be written.

    Raises
    ------
    ConfigError
        The message names the problem and the remedy.
    """
    if (folder / LOCK).exists():
        lock_session(folder).close()
    parent = nearest_existing(folder)
    if not parent.is_dir():
        raise ConfigError(
            f"session folder {folder} cannot be made, as {parent} is a file; choose another place"
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(
            f"nothing can be written to {parent}; correct its permissions, or choose another place "
            "for the session"
        )


def nearest_existing(folder: Path) -> Path:
    """Return the path itself if it exists, else its nearest existing parent."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 - `resolve` would follow links
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def check_ports(settings: ServiceSettings) -> None:
    """Refuse addresses that another program uses, or that are not this computer's.

    The check binds each address and releases it without listening, so that no client can connect.

    Raises
    ------
    ConfigError
        The message names each of them.
    """
    problems: list[str] = []
    with ExitStack() as sockets:
        for address, host, port in _addresses(settings):
            try:
                sockets.enter_context(closing(_bind(host, port)))
            except OSError as error:
                problems.append(
                    f"cannot listen on {address} ({error.strerror}); another service may be "
                    "running: stop it, or choose another port or one of this computer's addresses"
                )
    if problems:
        raise ConfigError(problems)


def _addresses(settings: ServiceSettings) -> Iterator[tuple[str, str, int]]:
    """Yield each address at which the service will listen: in words, as IP address and as port.

    Names of interfaces, malformed addresses and the port `*` are left out: only opening them tells.
    """
    endpoints = [settings.outcomes, settings.control]
    if settings.source.startswith("zmq:"):
        endpoints.append(settings.ingest)
    for endpoint in endpoints:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        host = {"localhost": "127.0.0.1", "*": "0.0.0.0"}.get(host, host.strip("[]"))  # noqa: S104 - only on request
        with suppress(ValueError):  # an interface's name, or the port `*`
            yield endpoint, str(ipaddress.ip_address(host)), int(port)
    with suppress(ConfigError):  # the check of the source reports it
        if settings.source.startswith("dicom:"):
            receiver = parse_dicom_address(settings.source)
            yield f"{receiver.host}:{receiver.port} for DICOM", receiver.host, receiver.port
        elif settings.source.startswith(SCHEME):
            pyneal = parse_address(settings.source.removeprefix(SCHEME))
            yield f"{pyneal} for Pyneal's volumes", pyneal.host, pyneal.port


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address with the options of the service's sockets."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # Connections of a service that has just ended do not block the address.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
