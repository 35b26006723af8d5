"""Settings of a service, rules of a run, and the summary at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rtdecode.ports import CONTROL, INGEST, OUTCOMES
from rtdecode.report_kit import count

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
    """The settings of a service."""

    session: Path
    """The session's folder; an unfinished run in it is continued."""
    source: str
    """`folder:PATH`, `dicom://HOST:PORT?aet=TITLE&from=TITLE,TITLE`, `zmq:`,
    `pyneal://HOST:PORT` or `recording:PATH`."""
    outcomes: str = OUTCOMES
    control: str = CONTROL
    ingest: str = INGEST
    """The address of the source `zmq:`; other sources do not use it."""
    volumes: int = 0
    """The run and the service end after this number of volumes; 0: on command."""
    patience_s: float | None = None
    """Time to wait for a volume after a later one is complete; one repetition time if `None`."""
    deadline_s: float | None = None
    """Decisions slower than this are marked late; one repetition time if `None`."""
    late: Literal["publish", "skip"] = "publish"
    """Clients get a late decision marked as late, or a skipped volume in its place."""
    runs: Runs = "series"
    """What begins and ends runs; see `Runs`. An unfinished run keeps its value."""
    dummies: int = 0
    """Number of dummy volumes at the start of a run, before the steady state: they are skipped and
    left out of the statistics."""
    file_patience_s: float = 5.0
    """Time that an incomplete file has to grow before it is reported."""
    force_polling: bool = False
    """List the source folder repeatedly also on a local filesystem."""
    checkpoint_volumes: int = 10
    """Number of volumes between two checkpoints."""
    linger_s: float = 1.0
    """Time for which the service answers clients after the run's end."""
    provider: str = ""
    """The decoder's provider, for the status and the record."""
    threads: int = 1
    """The decoder's threads, for the status and the record."""
    bundle: Path | None = None
    """The bundle's folder, for the record."""
    keys: Path | None = None
    """The folder of the service's keys. Connections from other computers need keys; with keys,
    every client needs one."""

    @property
    def run_options(self) -> RunOptions:
        """The options of the runs."""
        return RunOptions(
            Rules(self.runs, self.dummies),
            self.volumes,
            self.checkpoint_volumes,
            self.patience_s,
            self.deadline_s,
        )

    @property
    def runs_on(self) -> str:
        """Provider and threads in words."""
        if not self.provider:
            return ""
        return f"{self.provider}, {count(self.threads, 'thread')}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a service with their ports; also in `endpoints.json` in the session folder."""

    outcomes: str
    control: str
    ingest: str | None
    """The address that receives objects; `None` if the source fetches them."""


@dataclass(frozen=True, slots=True)
class ExitSummary:
    """The result of a service."""

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
    """Time from a volume's last byte to its recorded decision; `nan` without decisions."""
    latency_p95_ms: float
    outcomes_sha256: str
    """SHA-256 of the run's outcomes without their stamps: equal runs have equal values."""
    fault: str = ""


OnReady = Callable[[Endpoints], None]
