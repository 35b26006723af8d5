"""What a service is told, and what it tells at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from rtdecode.ledger import Expected
from rtdecode.ports import CONTROL, INGEST, OUTCOMES
from rtdecode.service.rules import Runs
from rtdecode.types import Outcome, Skipped, State, Volume


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
    """`folder:PATH`, `dicom://HOST:PORT?aet=TITLE&from=TITLE,TITLE`, `zmq:`,
    `pyneal://HOST:PORT` or `recording:PATH`."""
    outcomes: str = OUTCOMES
    control: str = CONTROL
    ingest: str = INGEST
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
    """Look for files even where the system tells of them."""
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
    keys: Path | None = None
    """The folder of the service's keys; needed where other computers connect, and then asked of
    every client."""

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
    """Where volumes are sent to; `None` for sources that fetch them."""


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
