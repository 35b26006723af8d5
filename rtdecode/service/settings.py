"""What a service is told, and what it tells at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rtdecode.clock import Clock
from rtdecode.errors import ConfigError
from rtdecode.sources import Context, FolderSource, IngestSource, RecordingSource, Source
from rtdecode.sources.dicom_address import FORM, parse_address
from rtdecode.types import Outcome, Skipped, State, Volume
from rtdecode.wire import CONTROL_PORT, INGEST_PORT, OUTCOMES_PORT, loopback

SOURCES = f"folder:PATH, {FORM}, zmq: or recording:PATH"


class Decoder(Protocol):
    """What the service needs of a pipeline; `rtdecode.pipeline.Pipeline` is one."""

    @property
    def bundle_digest(self) -> str:
        """Which bundle decides."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        ...

    @property
    def repetition_time_s(self) -> float:
        """Seconds between volumes."""
        ...

    def step(self, item: Volume | Skipped) -> Outcome:
        """Return the outcome of the next volume."""
        ...

    def state(self) -> State:
        """Return all that the next outcome depends on, in arrays that later steps leave alone."""
        ...

    def restore(self, state: State) -> None:
        """Continue from what `state` returned."""
        ...

    def warm_up(self) -> None:
        """Do whatever is slow the first time; the state is unchanged afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How a service runs."""

    session: Path
    """The session's folder; an unfinished run in it is continued."""
    source: str
    """`folder:PATH`, `dicom://HOST:PORT?aet=TITLE&from=TITLE,TITLE`, `zmq:` or `recording:PATH`."""
    outcomes: str = f"tcp://127.0.0.1:{OUTCOMES_PORT}"
    control: str = f"tcp://127.0.0.1:{CONTROL_PORT}"
    ingest: str = f"tcp://127.0.0.1:{INGEST_PORT}"
    """Used by the source `zmq:` only."""
    volumes: int = 0
    """End the run and the service after this many; 0: when told."""
    patience_s: float | None = None
    """How long a volume is waited for once a later one is whole; one repetition time if `None`."""
    file_patience_s: float = 5.0
    """How long a file that cannot be read may grow before it is reported."""
    force_polling: bool = False
    """Look for files even where the system tells of them."""
    checkpoint_volumes: int = 10
    """A checkpoint after this many."""
    linger_s: float = 1.0
    """How long the finished service still answers clients that have to catch up."""
    provider: str = ""
    """For the status: where the decoder runs."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a service listens, ports resolved; also in `endpoints.json` in the session folder."""

    outcomes: str
    control: str
    ingest: str | None
    """Where objects are sent to; `None` unless the source is `zmq:` or `dicom:`."""


@dataclass(frozen=True, slots=True)
class ExitSummary:
    """How a service ended."""

    exit_code: int
    """0, or 1 after a fault."""
    session: Path
    run: int
    state: str
    """`ended`, `stopped` (the run is unfinished and can be continued) or `faulted`."""
    objects: int
    unreadable: int
    decisions: int
    skipped: int
    latency_p50_ms: float
    """From a decided volume's last byte to its recorded outcome; `nan` without decisions."""
    latency_p95_ms: float
    outcomes_sha256: str
    """Over the run's outcomes without their stamps: equal for equal runs."""
    fault: str = ""


OnReady = Callable[[Endpoints], None]


def check(settings: ServiceSettings) -> None:
    """Refuse settings that cannot work, all at once.

    Raises
    ------
    ConfigError
        With every problem.
    """
    problems: list[str] = []
    for endpoint in (settings.outcomes, settings.control, settings.ingest):
        try:
            loopback(endpoint)
        except ConfigError as error:
            problems += error.problems
    kind, _, path = settings.source.partition(":")
    if kind == "dicom":
        try:
            parse_address(settings.source)
        except ConfigError as error:
            problems += error.problems
    elif kind not in ("folder", "zmq", "recording") or ":" not in settings.source:
        problems.append(f"source {settings.source!r} is not known; it is {SOURCES}")
    elif kind != "zmq" and not path:
        problems.append(f"source {settings.source!r} names no path; it is {SOURCES}")
    elif kind == "folder" and settings.session.resolve().is_relative_to(Path(path).resolve()):
        problems.append(
            f"session folder {settings.session} lies inside the source folder {path}, where its "
            "own files would be taken for the scanner's; choose another place for it"
        )
    if settings.volumes < 0 or settings.checkpoint_volumes < 1:
        problems.append(
            f"volumes ({settings.volumes}) must be at least 0 and checkpoint_volumes "
            f"({settings.checkpoint_volumes}) at least 1"
        )
    if problems:
        raise ConfigError(problems)


def open_source(settings: ServiceSettings, context: Context, clock: Clock) -> Source:
    """Return the source that checked settings name, not yet entered."""
    kind, _, path = settings.source.partition(":")
    if kind == "folder":
        return FolderSource(
            Path(path),
            clock,
            force_polling=settings.force_polling,
            patience_s=settings.file_patience_s,
        )
    if kind == "dicom":
        # Half a second to import, for those who need it.
        from rtdecode.sources.dicom_receiver import DicomSource

        return DicomSource(parse_address(settings.source), clock)
    if kind == "recording":
        return RecordingSource(Path(path), clock)
    return IngestSource(loopback(settings.ingest), context, clock)
