"""A recorded session computed again, outcome by outcome, and compared with its record."""

from collections.abc import Callable, Iterable, Sequence
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
    """The first volume of a run whose outcome is not the recorded one."""

    volume: int
    recorded: str
    """The outcome in the record, `nothing` where there is none."""
    computed: str
    circumstances: Sequence[str]
    """What is not as it was when the outcomes were recorded; empty where nothing is known to be."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of one run."""

    run: int
    outcomes: int
    """In the record."""
    ended: bool
    difference: Difference | None


def verify(
    folder: Path,
    decoder: Decoder,
    now: ServiceStart,
    told: Callable[[Verified], object] = lambda _: None,
) -> list[Verified]:
    """Compute every run of a session again; nothing in its folder is changed.

    Outcomes are compared byte by byte, without their times. Of an unfinished run those on record
    are compared.

    Parameters
    ----------
    folder
        The session's.
    decoder
        What decides; in its initial state.
    now
        Under what it does.
    told
        Called with each run's result.

    Raises
    ------
    ConfigError
        It is no session's folder.
    """
    session = read_session(folder)
    initial = decoder.state()
    results = []
    for recorded in session.runs:
        computed = _computed(session, recorded, decoder, initial)
        results.append(
            Verified(
                recorded.run,
                len(recorded.outcomes),
                recorded.ended,
                _difference(session, recorded, computed, now),
            )
        )
        told(results[-1])
    return results


def computed_with(folder: Path) -> tuple[Literal["cpu", "cuda"], int]:
    """Return on what a session was decided last, and by how many threads; else CPU and one.

    Raises
    ------
    ConfigError
        It is no session's folder.
    """
    servings = read_session(folder).servings
    settings = servings[-1].settings if servings else {}
    return "cuda" if settings.get("provider") == "cuda" else "cpu", settings.get("threads", 1)


def _computed(
    session: Session, recorded: RecordedRun, decoder: Decoder, initial: State
) -> list[Outcome]:
    """Return a run's outcomes, computed again."""
    outcomes: list[Outcome] = []

    def take(outputs: Iterable[Output]) -> None:
        outcomes.extend(output.outcome for output in outputs if isinstance(output, Numbered))

    decoder.restore(initial)
    servings = _servings(session, recorded)
    volumes = servings[-1].settings.get("volumes", 0) if servings else 0
    with (
        TemporaryDirectory(prefix="rtdecode-verify-") as scratch,
        session.pack.open("rb") as file,
        Journal(Path(scratch)) as journal,
    ):
        runner = Runner(journal, decoder, SystemClock(), RunOptions(volumes=volumes))
        take(runner.open(recorded.start.header))
        for record in of_run(session.records, recorded.start):
            # Its digest tells an object from the others; the pixels need no second copy.
            digest = str(record.header.get("sha256", "")).encode()
            (made,) = journal.append_objects([Entry(record.kind, record.header, digest)])
            if made.record is not None:
                content = read_body(file, record) if record.kind is Kind.OBJECT else b""
                take(runner.apply(made.record, content))
        if recorded.ended:
            take(runner.carry_out(LifecycleEvent.END) or ())
    return outcomes


def _difference(
    session: Session, recorded: RecordedRun, computed: Sequence[Outcome], now: ServiceStart
) -> Difference | None:
    before = recorded.outcomes
    # An unfinished run may hold objects that had no outcome yet.
    length = max(len(before), len(computed)) if recorded.ended else len(before)
    for volume in range(length):
        old, new = (_shown(outcomes, volume) for outcomes in (before, computed))
        if old != new:
            return Difference(volume, old, new, _circumstances(session, recorded, now))
    return None


def _shown(outcomes: Sequence[Outcome], volume: int) -> str:
    return deterministic(outcomes[volume]).decode() if volume < len(outcomes) else "nothing"


def _servings(session: Session, recorded: RecordedRun) -> list[ServiceStart]:
    """Return the servings that made a run's outcomes."""
    last = recorded.first + len(recorded.outcomes) - 1
    before = [s for s in session.servings if s.sequence < recorded.first]
    during = [s for s in session.servings if recorded.first <= s.sequence < last]
    return [*before[-1:], *during]


def _circumstances(session: Session, recorded: RecordedRun, now: ServiceStart) -> list[str]:
    """Name what is not as it was."""
    servings = _servings(session, recorded)
    bundle = str(recorded.start.header["bundle"])
    pairs: list[tuple[str, list[Any], Any]] = [("bundle", [bundle], now.bundle)]
    pairs += [
        (name, [s.settings.get(name) for s in servings], now.settings.get(name))
        for name in ("provider", "threads")
    ]
    pairs += [
        ("version of rtdecode", [s.version for s in servings], now.version),
        ("system", [s.system for s in servings], now.system),
    ]
    return [
        f"{name}: recorded with {' and '.join(map(str, dict.fromkeys(then)))}, now {here}"
        for name, then, here in pairs
        if set(then) - {here}
    ]
