"""Computes a recorded session again and compares each outcome with the record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from rtdecode.clock import SystemClock
from rtdecode.journal import Journal, RecordedRun, ServiceStart, Session, read_session
from rtdecode.journal.pack import Entry, Kind, of_run, read_body
from rtdecode.lifecycle import LifecycleEvent
from rtdecode.pipeline import Decoder
from rtdecode.service.runner import Output, Runner
from rtdecode.service.settings import RunOptions
from rtdecode.types import Outcome, State
from rtdecode.wire import Numbered, deterministic


@dataclass(frozen=True, slots=True)
class Difference:
    """The first volume of a run whose computed outcome differs from the recorded one."""

    volume: int
    recorded: str
    """The recorded outcome; `nothing` where there is none."""
    computed: str
    circumstances: Sequence[str]
    """Differences of bundle, provider, threads, version and system since the recording."""


@dataclass(frozen=True, slots=True)
class VerifiedRun:
    """The result of one run."""

    run: int
    outcomes: int
    """The number of recorded outcomes."""
    ended: bool
    difference: Difference | None


def verify(folder: Path, decoder: Decoder, now: ServiceStart) -> list[VerifiedRun]:
    """Compute every run of a session again; the folder is not changed.

    Outcomes are compared byte by byte, without their times. An unfinished run is compared as far as
    it is recorded.

    Parameters
    ----------
    folder
        The session's.
    decoder
        In its initial state.
    now
        Bundle, settings and versions of the computation.

    Raises
    ------
    ConfigError
        It is not a session folder.
    """
    session = read_session(folder)
    initial = decoder.state()
    return [
        VerifiedRun(
            recorded.run,
            len(recorded.outcomes),
            recorded.ended,
            _difference(session, recorded, _compute(session, recorded, decoder, initial), now),
        )
        for recorded in session.runs
    ]


def recorded_execution(folder: Path) -> tuple[Literal["cpu", "cuda"], int]:
    """Return provider and threads of the session's last service; CPU and 1 if not recorded.

    Raises
    ------
    ConfigError
        It is not a session folder.
    """
    starts = read_session(folder).servings
    settings = starts[-1].settings if starts else {}
    return "cuda" if settings.get("provider") == "cuda" else "cpu", settings.get("threads", 1)


def _compute(
    session: Session, recorded: RecordedRun, decoder: Decoder, initial: State
) -> list[Outcome]:
    outcomes: list[Outcome] = []

    def take(outputs: Iterable[Output]) -> None:
        outcomes.extend(output.outcome for output in outputs if isinstance(output, Numbered))

    decoder.restore(initial)
    starts = _service_starts(session, recorded)
    volumes = starts[-1].settings.get("volumes", 0) if starts else 0
    with (
        TemporaryDirectory(prefix="rtdecode-verify-") as scratch,
        session.pack.open("rb") as file,
        Journal(Path(scratch)) as journal,
    ):
        runner = Runner(journal, decoder, SystemClock(), RunOptions(volumes=volumes))
        take(runner.open(recorded.start.header))
        for record in of_run(session.records, recorded.start):
            # The digest is enough to tell objects apart; the pixels are not copied.
            digest = str(record.header.get("sha256", "")).encode()
            (appended,) = journal.append_objects([Entry(record.kind, record.header, digest)])
            if appended is not None:
                content = read_body(file, record) if record.kind is Kind.OBJECT else b""
                take(runner.apply(appended, content))
        if recorded.ended:
            take(runner.carry_out(LifecycleEvent.END) or ())
    return outcomes


def _difference(
    session: Session, recorded: RecordedRun, computed: Sequence[Outcome], now: ServiceStart
) -> Difference | None:
    before = recorded.outcomes
    # The last objects of an unfinished run may have no recorded outcome.
    length = max(len(before), len(computed)) if recorded.ended else len(before)
    for volume in range(length):
        old, new = (_as_text(outcomes, volume) for outcomes in (before, computed))
        if old != new:
            return Difference(volume, old, new, _circumstances(session, recorded, now))
    return None


def _as_text(outcomes: Sequence[Outcome], volume: int) -> str:
    return deterministic(outcomes[volume]).decode() if volume < len(outcomes) else "nothing"


def _service_starts(session: Session, recorded: RecordedRun) -> list[ServiceStart]:
    """Return the starts of the services that made a run's outcomes."""
    last = recorded.first + len(recorded.outcomes) - 1
    before = [s for s in session.servings if s.sequence < recorded.first]
    during = [s for s in session.servings if recorded.first <= s.sequence < last]
    return [*before[-1:], *during]


def _circumstances(session: Session, recorded: RecordedRun, now: ServiceStart) -> list[str]:
    """Describe each difference between the recording and the computation."""
    starts = _service_starts(session, recorded)
    bundle = str(recorded.start.header["bundle"])
    pairs: list[tuple[str, list[Any], Any]] = [("bundle", [bundle], now.bundle)]
    pairs += [
        (name, [s.settings.get(name) for s in starts], now.settings.get(name))
        for name in ("provider", "threads")
    ]
    pairs += [
        ("version of rtdecode", [s.version for s in starts], now.version),
        ("system", [s.system for s in starts], now.system),
    ]
    return [
        f"{name}: recorded with {' and '.join(map(str, dict.fromkeys(before)))}, now {value}"
        for name, before, value in pairs
        if set(before) - {value}
    ]
