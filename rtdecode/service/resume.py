"""What a session says of its service, and whether its unfinished run can be gone on with."""

import platform
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from rtdecode.errors import ConfigError
from rtdecode.journal import ServiceStart, read_session
from rtdecode.service.settings import ServiceSettings

_DECIDING = ("onnxruntime-gpu", "onnxruntime", "numba", "numpy", "imagecodecs", "pydicom", "pyzmq")


def serving_of(settings: ServiceSettings, bundle: str, sequence: int) -> ServiceStart:
    """Return what is put into the session's record when it is served."""
    told = {f.name: getattr(settings, f.name) for f in fields(settings)}
    del told["session"]  # it may be moved
    # It may be gone on with from another folder.
    told = {name: v.resolve() if isinstance(v, Path) else v for name, v in told.items()}
    kind, _, rest = settings.source.partition(":")
    if kind == "folder":
        told["source"] = f"folder:{Path(rest).resolve()}"
    told["libraries"] = _libraries()
    return ServiceStart(sequence, bundle, msgspec.to_builtins(told, enc_hook=str))


def _libraries() -> dict[str, str]:
    """Return the versions of what takes part in a decision, for the record."""
    versions = {"python": platform.python_version()}
    for package in _DECIDING:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def resumable(folder: Path) -> tuple[ServiceSettings, Path, str]:
    """Return the settings of a session's unfinished run, and its bundle's folder and digest.

    Raises
    ------
    ConfigError
        There is nothing to go on with, or the session does not say how; the message names the rule
        and the remedy.
    """
    session = read_session(folder)
    if not session.runs:
        raise ConfigError(f"session {folder} holds no run; begin one with rtdecode serve")
    newest = session.runs[-1]
    if newest.ended:
        raise ConfigError(
            f"run {newest.run} of session {folder} has ended, there is nothing to go on with; for "
            f"another run: rtdecode serve --session {folder}"
        )
    if not session.servings or session.servings[-1].settings.get("bundle") is None:
        raise ConfigError(
            f"session {folder} does not say with which bundle and source it was served; go on with "
            f"rtdecode serve --bundle BUNDLE --source SOURCE --session {folder}"
        )
    serving = session.servings[-1]
    if str(serving.settings["source"]).startswith("recording:"):
        raise ConfigError(
            f"session {folder} is a replay of another one, which is not gone on with; play the "
            "recording again into a new session"
        )
    bundle = Path(serving.settings["bundle"])
    return _settings(folder, serving), bundle, str(newest.start.header["bundle"])


def check_unfinished(folder: Path, digest: str) -> None:
    """Refuse a bundle that did not begin the session's unfinished run, where there is one.

    Raises
    ------
    ConfigError
        Naming both.
    """
    try:
        runs = read_session(folder).runs
    except ConfigError:
        return  # there is no session yet, or it is for the journal to judge
    if runs and not runs[-1].ended:
        check_same(folder, runs[-1].bundle, digest)


def check_same(folder: Path, begun_with: str, digest: str) -> None:
    """Refuse to go on with a run of another bundle.

    Raises
    ------
    ConfigError
        Naming both.
    """
    if begun_with != digest:
        raise ConfigError(
            f"session {folder} holds an unfinished run of bundle {begun_with}, this is bundle "
            f"{digest}; serve with that bundle, or choose another session folder"
        )


def _settings(folder: Path, serving: ServiceStart) -> ServiceSettings:
    known = {field.name for field in fields(ServiceSettings)}
    told = {name: value for name, value in serving.settings.items() if name in known}
    try:
        return msgspec.convert(
            {**told, "session": str(folder)}, ServiceSettings, dec_hook=_path, strict=False
        )
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"session {folder} was served with settings that this version does not understand "
            f"({error}); go on with rtdecode serve --session {folder}"
        ) from error


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
