"""Keys on disk, as zmq.auth's certificates.

A service's folder holds `service.key_secret`, `service.key` (public, for its clients) and, in
`allowed/`, the public key of each client. A client's holds `NAME.key_secret`, `NAME.key` (public,
for the service) and a copy of `service.key`.
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
    """What a service needs to answer other computers."""

    public: bytes
    """40 characters in Z85, as all of these."""
    secret: bytes
    allowed: frozenset[bytes]
    """The clients' public keys."""

    def __repr__(self) -> str:
        return f"ServiceKeys({len(self.allowed)} clients allowed)"


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client needs to reach a service on another computer."""

    name: str
    public: bytes
    secret: bytes
    service: bytes
    """The service's public key: nobody else can answer in its place."""

    def __repr__(self) -> str:
        return f"ClientKeys({self.name})"


@dataclass(frozen=True, slots=True)
class Listed:
    """A key in a folder."""

    name: str
    kind: str
    """`service`, `client` (its secret is here) or `allowed`."""
    public: str


def default_folder() -> Path:
    """Return where keys are kept if nobody says otherwise."""
    return platformdirs.user_config_path("rtdecode") / "keys"


def new_service(folder: Path) -> Path:
    """Make a service's key pair and the folder of its clients; return its public file.

    Raises
    ------
    ConfigError
        There is one already, or the folder cannot be written.
    """
    public = _new(folder, SERVICE)
    (folder / ALLOWED).mkdir(exist_ok=True)
    return public


def new_client(folder: Path, name: str) -> Path:
    """Make a client's key pair; return its public file.

    Raises
    ------
    ConfigError
        The name cannot be one, has a key already, or the folder cannot be written.
    """
    return _new(folder, _checked(name))


def allow(folder: Path, file: Path) -> Path:
    """Let a client in, whose public file is given; return the copy of it.

    Raises
    ------
    ConfigError
        The file is no public key, or another client of that name is allowed already.
    """
    if not (folder / f"{SERVICE}{SECRET}").is_file():
        raise ConfigError(f"{folder} holds no service's key; make one: rtdecode keys new")
    name = _checked(file.name.removesuffix(PUBLIC).removesuffix(SECRET))
    public, secret = _load(file)
    if secret is not None:
        raise ConfigError(
            f"{file} holds a secret key, which never leaves its computer; give {name}{PUBLIC}, "
            "and make new keys if the secret was sent over a network"
        )
    copy = folder / ALLOWED / f"{name}{PUBLIC}"
    if copy.exists():
        if _load(copy)[0] == public:
            return copy
        raise ConfigError(
            f"another client called {name} is allowed already; delete {copy} to replace it, or "
            "rename the file"
        )
    try:
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(_content(file))
    except OSError as error:
        raise ConfigError(f"{copy} cannot be written: {error.strerror}") from error
    return copy


def listed(folder: Path) -> list[Listed]:
    """Return the keys in a folder, the service's first.

    Raises
    ------
    ConfigError
        One of the files is no key.
    """
    own = sorted(folder.glob(f"*{SECRET}"), key=lambda p: (p.stem != SERVICE, p.stem))
    allowed = sorted((folder / ALLOWED).glob(f"*{PUBLIC}"))
    keys = [
        (path.stem, "service" if path.stem == SERVICE else "client", _load(path)[0]) for path in own
    ]
    keys += [(path.stem, "allowed", _load(path)[0]) for path in allowed]
    return [Listed(name, kind, public.decode()) for name, kind, public in keys]


def service_keys(folder: Path) -> ServiceKeys:
    """Read a service's folder.

    Raises
    ------
    ConfigError
        Something is missing, no key, or readable by others; all such problems at once.
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
        Its folder, or its `NAME.key_secret` where the folder holds those of several.

    Raises
    ------
    ConfigError
        Something is missing, ambiguous, no key, or readable by others.
    """
    own = path
    if path.is_dir():
        found = [p for p in sorted(path.glob(f"*{SECRET}")) if p.stem != SERVICE]
        if len(found) > 1:
            names = ", ".join(p.name for p in found)
            raise ConfigError(f"{path} holds the keys of several clients: give one of {names}")
        own = found[0] if found else path / f"NAME{SECRET}"
    public, secret = _secret(own, "make it on this computer: rtdecode keys new --client NAME")
    beside = own.with_name(f"{SERVICE}{PUBLIC}")
    if not beside.is_file():
        raise ConfigError(
            f"{beside} is missing: copy it there from the service's computer, where "
            "`rtdecode keys list` says in which folder it is"
        )
    return ClientKeys(own.stem, public, secret, _load(beside)[0])


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name == SERVICE:
        raise ConfigError(
            f"a client cannot be called {name[:64]!r}; use up to 64 letters, digits, dots, dashes "
            f"and underscores, other than {SERVICE!r}"
        )
    return name


def _new(folder: Path, name: str) -> Path:
    public, secret = folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    for path in (public, secret):
        if path.exists():
            raise ConfigError(
                f"{path} is there already; delete it to make new keys (whoever knows the old one "
                "will no longer get in), or choose another folder"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made in a folder that is the owner's alone, so that the secret is never open to others.
        with tempfile.TemporaryDirectory(dir=folder) as private:
            made_public, made_secret = zmq.auth.create_certificates(private, name)
            Path(made_secret).chmod(0o600)
            Path(made_secret).rename(secret)
            Path(made_public).rename(public)
    except OSError as error:
        raise ConfigError(f"keys cannot be written to {folder}: {error.strerror}") from error
    return public


def _secret(path: Path, remedy: str) -> tuple[bytes, bytes]:
    """Return a public and a secret key from a file that nobody else may read."""
    if not path.is_file():
        raise ConfigError(f"{path} is missing; {remedy}")
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"{path} can be read by others on this computer; make new keys if it may have been, "
            f"else: chmod 600 {path}"
        )
    public, secret = _load(path)
    if secret is None:
        raise ConfigError(f"{path} holds no secret key; {remedy}")
    return public, secret


def _load(path: Path) -> tuple[bytes, bytes | None]:
    """Return the public key in a file, and the secret one if there is one."""
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
        f"{path} is no key file, or damaged; copy it again, or make new keys: rtdecode keys new"
    )


def _content(path: Path) -> bytes:
    """Return a small file's content."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} is no key file: it has more than {MAX_FILE_BYTES} bytes")
    return content
