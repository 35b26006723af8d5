"""What a service is told, and what it tells at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from rtdecode.clock import Clock
from rtdecode.errors import ConfigError
from rtdecode.ledger import Expected
from rtdecode.service.rules import Runs
from rtdecode.sources import Context, FolderSource, IngestSource, RecordingSource, Source
from rtdecode.types import Outcome, Skipped, State, Volume
from rtdecode.wire import CONTROL_PORT, INGEST_PORT, OUTCOMES_PORT, loopback

SOURCES = "folder:PATH, zmq: or recording:PATH"


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

    @property
    def expected(self) -> Expected | None:
        """What a run must look like; `None`: anything that can be a run is one."""
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
    """`folder:PATH`, `zmq:` or `recording:PATH`."""
    outcomes: str = f"tcp://127.0.0.1:{OUTCOMES_PORT}"
    control: str = f"tcp://127.0.0.1:{CONTROL_PORT}"
    ingest: str = f"tcp://127.0.0.1:{INGEST_PORT}"
    """Used by the source `zmq:` only."""
    volumes: int = 0
    """End the run and the service after this many; 0: when told."""
    patience_s: float | None = None
    """How long a volume is waited for once a later one is whole; one repetition time if `None`."""
    deadline_s: float | None = None
    """A decision that is recorded later after its volume is late; one repetition time if `None`."""
    late: Literal["publish", "skip"] = "publish"
    """What clients get for a late decision: the decision, marked, or that the volume is skipped."""
    runs: Runs = "series"
    """What begins and ends runs; see `Runs`. An unfinished run keeps what it was begun with."""
    dummies: int = 0
    """So many first volumes of a run are not in the steady state: they are skipped, and left out of
    the statistics."""
    file_patience_s: float = 5.0
    """How long a file that cannot be read may grow before it is reported."""
    force_polling: bool = False
    """Look for files instead of being told of them, for network shares."""
    checkpoint_volumes: int = 10
    """A checkpoint after this many."""
    linger_s: float = 1.0
    """How long the finished service still answers clients that have to catch up."""
    provider: str = ""
    """For the status and the record: where the decoder runs."""
    threads: int = 1
    """For the status and the record: the decoder's."""
    bundle: Path | None = None
    """For the record: where the decoder was loaded from."""

    @property
    def runs_on(self) -> str:
        """Where the decoder runs, in words."""
        if not self.provider:
            return ""
        return f"{self.provider}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a service listens, ports resolved; also in `endpoints.json` in the session folder."""

    outcomes: str
    control: str
    ingest: str | None
    """`None` unless the source is `zmq:`."""


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
    left_out: int
    conflicts: int
    decisions: int
    skipped: int
    late: int
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
    if kind not in ("folder", "zmq", "recording") or ":" not in settings.source:
        problems.append(f"source {settings.source!r} is not known; it is {SOURCES}")
    elif kind != "zmq" and not path:
        problems.append(f"source {settings.source!r} names no path; it is {SOURCES}")
    elif kind == "folder" and settings.session.resolve().is_relative_to(Path(path).resolve()):
        problems.append(
            f"session folder {settings.session} lies inside the source folder {path}, where its "
            "own files would be taken for the scanner's; choose another place for it"
        )
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
    if kind == "recording":
        return RecordingSource(Path(path), clock)
    return IngestSource(loopback(settings.ingest), context, clock)
