"""Checks the settings of a service, and opens its source and keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rtdecode.adapters.address import parse_address
from rtdecode.adapters.pyneal_source import SCHEME, PynealSource
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError
from rtdecode.journal.pack import Record
from rtdecode.keys import ServiceKeys, service_keys
from rtdecode.service.settings import Runs, ServiceSettings
from rtdecode.sources import (
    Context,
    FolderSource,
    IngestSource,
    RecordingSource,
    Source,
    check_folder,
)
from rtdecode.sources.dicom_address import FORM
from rtdecode.sources.dicom_address import parse_address as parse_dicom_address
from rtdecode.wire import listening

SOURCES = f"folder:PATH, {FORM}, zmq:, pyneal://HOST:PORT or recording:PATH"


def endpoint_problems(settings: ServiceSettings) -> list[str]:
    """Return the problems of the addresses at which the service listens."""
    problems: list[str] = []
    for endpoint in (settings.outcomes, settings.control, settings.ingest):
        try:
            listening(endpoint, has_keys=settings.keys is not None)
        except ConfigError as error:
            problems += error.problems
    return problems


def check_settings(settings: ServiceSettings) -> None:
    """Refuse settings that cannot work.

    Raises
    ------
    ConfigError
        The message lists every problem.
    """
    problems = endpoint_problems(settings)
    try:
        open_keys(settings)
    except ConfigError as error:
        problems += error.problems
    try:
        check_source(settings.source, settings.session)
    except ConfigError as error:
        problems += error.problems
    if settings.runs not in get_args(Runs) or settings.dummies < 0:
        problems.append(
            f"runs ({settings.runs}) must be one of {', '.join(get_args(Runs))} and dummies "
            f"({settings.dummies}) at least 0"
        )
    if settings.deadline_s is not None and not settings.deadline_s > 0:
        problems.append(f"deadline_s ({settings.deadline_s}) must be above 0")
    if settings.volumes < 0 or settings.checkpoint_volumes < 1:
        problems.append(
            f"volumes ({settings.volumes}) must be at least 0 and checkpoint_volumes "
            f"({settings.checkpoint_volumes}) at least 1"
        )
    if problems:
        raise ConfigError(problems)


def check_source(source: str, session: Path) -> None:
    """Refuse a source that is unknown or missing, or a folder that contains the session's folder.

    Raises
    ------
    ConfigError
        The message names the possible forms of a source, or the problem of this one.
    """
    kind, _, path = source.partition(":")
    if source.startswith(SCHEME):
        parse_address(source.removeprefix(SCHEME))
    elif kind == "dicom":
        parse_dicom_address(source)
    elif kind not in ("folder", "zmq", "recording") or ":" not in source:
        raise ConfigError(f"source {source!r} is not known; it is {SOURCES}")
    elif kind != "zmq" and not path:
        raise ConfigError(f"source {source!r} names no path; it is {SOURCES}")
    elif kind == "folder" and session.resolve().is_relative_to(Path(path).resolve()):
        raise ConfigError(
            f"session folder {session} lies inside the source folder {path}, where its files "
            "would be read as the scanner's; choose another place for it"
        )
    elif kind == "folder":
        check_folder(Path(path))
    elif kind == "recording":
        with RecordingSource(Path(path), SystemClock()):
            pass  # opening checks that it holds a run


def open_keys(settings: ServiceSettings) -> ServiceKeys | None:
    """Return the keys that the settings name; `None` without keys.

    Raises
    ------
    ConfigError
        A file in their folder is missing or wrong.
    """
    return None if settings.keys is None else service_keys(settings.keys)


def open_source(
    settings: ServiceSettings,
    context: Context,
    clock: Clock,
    repetition_time_s: float,
    recorded: Sequence[Record],
    keys: ServiceKeys | None = None,
) -> Source:
    """Return the source of checked settings, not yet open.

    Parameters
    ----------
    settings, context, clock
        The service's.
    repetition_time_s
        The bundle's.
    recorded
        The session's log so far.
    keys
        The service's keys, if it has any.
    """
    if settings.source.startswith(SCHEME):
        return PynealSource(settings.source, context, clock, repetition_time_s, recorded)
    kind, _, path = settings.source.partition(":")
    if kind == "folder":
        return FolderSource(
            Path(path),
            clock,
            force_polling=settings.force_polling,
            patience_s=settings.file_patience_s,
        )
    if kind == "dicom":
        # Its import takes half a second.
        from rtdecode.sources.dicom_receiver import DicomSource

        return DicomSource(parse_dicom_address(settings.source), clock)
    if kind == "recording":
        return RecordingSource(Path(path), clock)
    return IngestSource(settings.ingest, context, clock, keys)
