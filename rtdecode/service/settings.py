"""Settings of a service, rules of a run, and the summary at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rtdecode.ports import CONTROL, INGEST, OUTCOMES

Runs = Literal["command", "volume", "series"]
"""What begins and ends runs. `command`: commands only. `volume`: the first run begins with the
service, each further one with the first volume of a new series, and commands end them. `series`: as
`volume`, and a later series of the same protocol also ends the run before it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a run. Its start in the log holds them, so that the log alone is sufficient."""

    runs: Runs = "series"
    dummies: int = 0
    """Number of dummy volumes at the start of the run; they are not used."""
    former: tuple[str, ...] = ()
    """Digests of the series of earlier runs."""

    def header(self) -> dict[str, Any]:
        """Return the rules for the log."""
        return {"runs": self.runs, "dummies": self.dummies, "former": list(self.former)}

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> "Rules":
        """Read them from a run's start; sessions of earlier versions did not follow series."""
        runs = header.get("runs", "volume")
        return cls(
            runs if runs in get_args(Runs) else "volume",
            int(header.get("dummies", 0)),
            tuple(map(str, header.get("former", ()))),
        )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of the runs of a service."""

    rules: Rules = Rules()
    """The rules of the next run; an unfinished run keeps its own."""
    volumes: int = 0
    """The run is complete after this number of volumes; 0: never."""
    checkpoint_volumes: int = 10
    """Number of volumes between two checkpoints."""
    patience_s: float | None = None
    """The ledger's patience; one repetition time if `None`."""
    deadline_s: float | None = None
    """The recorder's deadline; one repetition time if `None`."""


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
