"""The settings of a session in its record, and whether its unfinished run can be resumed."""

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

_LIBRARIES = ("onnxruntime-gpu", "onnxruntime", "numba", "numpy", "imagecodecs", "pydicom", "pyzmq")


def service_start(settings: ServiceSettings, bundle: str, sequence: int) -> ServiceStart:
    """Return the entry of a service's start for the session's record.

    Parameters
    ----------
    settings
        The service's.
    bundle
        The bundle's digest.
    sequence
        The newest outcome of the session.
    """
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    del values["session"]  # the folder may be moved
    # The service may be resumed from another working directory.
    values = {name: v.resolve() if isinstance(v, Path) else v for name, v in values.items()}
    kind, _, path = settings.source.partition(":")
    if kind == "folder":
        values["source"] = f"folder:{Path(path).resolve()}"
    values["libraries"] = _libraries()
    return ServiceStart(sequence, bundle, msgspec.to_builtins(values, enc_hook=str))


def _libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that affect a decision."""
    versions = {"python": platform.python_version()}
    for package in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def resume_settings(folder: Path) -> tuple[ServiceSettings, Path, str]:
    """Return the settings of a session's unfinished run, and its bundle's folder and digest.

    Raises
    ------
    ConfigError
        There is no unfinished run, or the record does not give its settings; the message names the
        remedy.
    """
    session = read_session(folder)
    if not session.runs:
        raise ConfigError(f"session {folder} holds no run; begin one with rtdecode serve")
    newest = session.runs[-1]
    if newest.ended:
        raise ConfigError(
            f"run {newest.run} of session {folder} has ended and cannot be resumed; for another "
            f"run: rtdecode serve --session {folder}"
        )
    if not session.servings or session.servings[-1].settings.get("bundle") is None:
        raise ConfigError(
            f"session {folder} does not record its bundle and source; resume it with rtdecode "
            f"serve --bundle BUNDLE --source SOURCE --session {folder}"
        )
    start = session.servings[-1]
    if str(start.settings["source"]).startswith("recording:"):
        raise ConfigError(
            f"session {folder} is a replay of another one and cannot be resumed; play the "
            "recording again into a new session"
        )
    bundle = Path(start.settings["bundle"])
    return _settings(folder, start), bundle, str(newest.start.header["bundle"])


def check_unfinished(folder: Path, digest: str) -> None:
    """Refuse a bundle that did not begin the session's unfinished run, if there is one.

    Raises
    ------
    ConfigError
        The message names both bundles.
    """
    try:
        runs = read_session(folder).runs
    except ConfigError:
        return  # no session yet, or a damaged one, which the journal reports
    if runs and not runs[-1].ended:
        check_same_bundle(folder, runs[-1].bundle, digest)


def check_same_bundle(folder: Path, first_digest: str, digest: str) -> None:
    """Refuse to resume a run with another bundle.

    Raises
    ------
    ConfigError
        The message names both bundles.
    """
    if first_digest != digest:
        raise ConfigError(
            f"session {folder} holds an unfinished run of bundle {first_digest}, this is bundle "
            f"{digest}; serve with that bundle, or choose another session folder"
        )


def _settings(folder: Path, start: ServiceStart) -> ServiceSettings:
    names = {field.name for field in fields(ServiceSettings)}
    values = {name: value for name, value in start.settings.items() if name in names}
    try:
        return msgspec.convert(
            {**values, "session": str(folder)}, ServiceSettings, dec_hook=_path, strict=False
        )
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"session {folder} has settings that this version does not understand ({error}); "
            f"resume it with rtdecode serve --session {folder}"
        ) from error


def _path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
