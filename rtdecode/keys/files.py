"""The files of keys, as certificates of zmq.auth.

A service's folder holds `service.key_secret`, `service.key` (public, for its clients) and, in
`allowed/`, the public key of each client. A client's folder holds `NAME.key_secret`, `NAME.key`
(public, for the service) and a copy of `service.key`.
"""

import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import zmq.auth
from zmq.utils import z85

from rtdecode.errors import ConfigError

PUBLIC, SECRET = ".key", ".key_secret"
SERVICE = "service"
ALLOWED = "allowed"
MAX_FILE_BYTES = 1 << 16
KEY_LENGTH = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class ServiceKeys:
    """The keys of a service that answers other computers."""

    public: bytes
    """40 characters in Z85; the other keys have the same form."""
    secret: bytes
    allowed: frozenset[bytes]
    """The public keys of the allowed clients."""

    def __repr__(self) -> str:
        return f"ServiceKeys({len(self.allowed)} clients allowed)"


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The keys of a client that connects to a service on another computer."""

    name: str
    public: bytes
    secret: bytes
    service: bytes
    """The public key of the service, so that no other program can answer in its place."""

    def __repr__(self) -> str:
        return f"ClientKeys({self.name})"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key in a folder."""

    name: str
    kind: str
    """`service`, `client` (with its secret) or `allowed`."""
    public: str


def default_folder() -> Path:
    """Return the folder of the keys if no other folder is given."""
    return platformdirs.user_config_path("rtdecode") / "keys"


def new_service(folder: Path) -> Path:
    """Make a service's key pair and the folder of its clients; return its public file.

    Raises
    ------
    ConfigError
        The key exists already, or the folder cannot be written.
    """
    public = _new(folder, SERVICE)
    (folder / ALLOWED).mkdir(exist_ok=True)
    return public


def new_client(folder: Path, name: str) -> Path:
    """Make a client's key pair; return its public file.

    Raises
    ------
    ConfigError
        The name is not valid, it has a key already, or the folder cannot be written.
    """
    return _new(folder, _check_name(name))


def allow(folder: Path, file: Path) -> Path:
    """Allow the client with this public file; return the copy of the file.

    Raises
    ------
    ConfigError
        The file is not a public key, or another client with this name is allowed already.
    """
    if not (folder / f"{SERVICE}{SECRET}").is_file():
        raise ConfigError(f"{folder} holds no key of a service; make one: rtdecode keys new")
    name = _check_name(file.name.removesuffix(PUBLIC).removesuffix(SECRET))
    public, secret = _load(file)
    if secret is not None:
        raise ConfigError(
            f"{file} holds a secret key, which must not leave its computer; give {name}{PUBLIC}, "
            "and make new keys if the secret was sent over a network"
        )
    copy = folder / ALLOWED / f"{name}{PUBLIC}"
    if copy.exists():
        if _load(copy)[0] == public:
            return copy
        raise ConfigError(
            f"another client with the name {name} is allowed already; delete {copy} to replace it, "
            "or rename the file"
        )
    try:
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(_content(file))
    except OSError as error:
        raise ConfigError(f"{copy} cannot be written: {error.strerror}") from error
    return copy


def list_keys(folder: Path) -> list[KeyEntry]:
    """Return the keys in a folder, the service's first.

    Raises
    ------
    ConfigError
        One of the files is not a key.
    """
    own = sorted(folder.glob(f"*{SECRET}"), key=lambda p: (p.stem != SERVICE, p.stem))
    allowed = sorted((folder / ALLOWED).glob(f"*{PUBLIC}"))
    keys = [
        (path.stem, "service" if path.stem == SERVICE else "client", _load(path)[0]) for path in own
    ]
    keys += [(path.stem, "allowed", _load(path)[0]) for path in allowed]
    return [KeyEntry(name, kind, public.decode()) for name, kind, public in keys]


def service_keys(folder: Path) -> ServiceKeys:
    """Read a service's folder.

    Raises
    ------
    ConfigError
        Names every file that is missing, is not a key, or is readable by other users.
    """
    problems: list[str] = []
    allowed: set[bytes] = set()
    for path in sorted((folder / ALLOWED).glob(f"*{PUBLIC}")):
        try:
            allowed.add(_load(path)[0])
        except ConfigError as error:
            problems += error.problems
    own = folder / f"{SERVICE}{SECRET}"
    public, secret = b"", b""
    try:
        public, secret = _secret(own, "make it on this computer: rtdecode keys new")
    except ConfigError as error:
        problems += error.problems
    if not problems and not allowed:
        problems.append(
            f"{folder / ALLOWED} names no client, so nobody could connect; allow one: "
            "rtdecode keys allow NAME.key"
        )
    if problems:
        raise ConfigError(problems)
    return ServiceKeys(public, secret, frozenset(allowed))


def client_keys(path: Path) -> ClientKeys:
    """Read a client's keys.

    Parameters
    ----------
    path
        The client's folder, or its `NAME.key_secret` if the folder holds several clients.

    Raises
    ------
    ConfigError
        A file is missing, is not a key, or is readable by other users; or several clients fit.
    """
    own = path
    if path.is_dir():
        clients = [p for p in sorted(path.glob(f"*{SECRET}")) if p.stem != SERVICE]
        if len(clients) > 1:
            names = ", ".join(p.name for p in clients)
            raise ConfigError(f"{path} holds the keys of several clients; give one of {names}")
        own = clients[0] if clients else path / f"NAME{SECRET}"
    public, secret = _secret(own, "make it on this computer: rtdecode keys new --client NAME")
    service = own.with_name(f"{SERVICE}{PUBLIC}")
    if not service.is_file():
        raise ConfigError(
            f"{service} is missing; copy it from the service's computer, where `rtdecode keys "
            "list` shows its folder"
        )
    return ClientKeys(own.stem, public, secret, _load(service)[0])


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name == SERVICE:
        raise ConfigError(
            f"{name[:64]!r} cannot be the name of a client; use up to 64 letters, digits, dots, "
            f"dashes and underscores, other than {SERVICE!r}"
        )
    return name


def _new(folder: Path, name: str) -> Path:
    public, secret = folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    for path in (public, secret):
        if path.exists():
            raise ConfigError(
                f"{path} exists already; delete it to make new keys (clients that know the old one "
                "cannot connect any more), or choose another folder"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Only the owner can read the temporary folder, so other users never see the secret.
        with tempfile.TemporaryDirectory(dir=folder) as private:
            made_public, made_secret = zmq.auth.create_certificates(private, name)
            Path(made_secret).chmod(0o600)
            Path(made_secret).rename(secret)
            Path(made_public).rename(public)
    except OSError as error:
        raise ConfigError(f"keys cannot be written to {folder}: {error.strerror}") from error
    return public


def _secret(path: Path, remedy: str) -> tuple[bytes, bytes]:
    """Return the public and the secret key in a file that no other user may read."""
    if not path.is_file():
        raise ConfigError(f"{path} is missing; {remedy}")
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{path} can be read by other users of this computer; if another user may have "
            f"read it, make new keys; otherwise run: chmod 600 {path}"
        )
    public, secret = _load(path)
    if secret is None:
        raise ConfigError(f"{path} holds no secret key; {remedy}")
    return public, secret


def _load(path: Path) -> tuple[bytes, bytes | None]:
    """Return the public key in a file, and the secret key if the file holds one."""
    _content(path)
    public: bytes
    secret: bytes | None
    try:
        public, secret = zmq.auth.load_certificate(path)
        for key in filter(None, (public, secret)):
            z85.decode(key)
    except (ValueError, LookupError) as error:
        raise _no_key(path) from error
    if {len(public), len(secret or public)} != {KEY_LENGTH}:
        raise _no_key(path)
    return public, secret


def _no_key(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is not a key file, or is damaged; copy it again, or make new keys with "
        "rtdecode keys new"
    )


def _content(path: Path) -> bytes:
    """Return a small file's content."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} is not a key file: it has more than {MAX_FILE_BYTES} bytes")
    return content
