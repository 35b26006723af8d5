"""Play scheduled files by a clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError
from rtdecode.player.schedule import ScheduledFile, schedule
from rtdecode.player.sinks import FolderSink, IngestSink, Sink

Speed = float | Literal["max"]


def parse_speed(text: str) -> Speed:
    """Return the speed from a command line.

    Raises
    ------
    ConfigError
        The text is neither a number nor `max`.
    """
    if text == "max":
        return "max"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"speed {text!r}: give a number such as 1 or 10, or max") from None


@dataclass(frozen=True, slots=True)
class PlayReport:
    """Counts and times of a finished playback."""

    objects: int
    volumes: int
    seconds: float
    latest_ms: float
    """Largest delay of an object after its due time; 0 at speed `max`."""


def play(
    paths: Iterable[Path | str],
    to: str,
    speed: Speed = 1.0,
    clock: Clock | None = None,
    console: Console | None = None,
    keys: Path | None = None,
) -> PlayReport:
    """Play a recorded series as a scanner does, one file at a time.

    Parameters
    ----------
    paths
        Files of the series, or folders.
    to
        A folder, or the endpoint (`tcp://...`) of a service's ingest socket.
    speed
        1 is the series' own speed; `max` is as fast as possible.
    clock
        Clock for the due times.
    console
        Console for the progress; `None` hides it.
    keys
        Keys of the sender, if the service requires keys.

    Raises
    ------
    ConfigError
        There is nothing to play, or `to` or `speed` is invalid.
    RunError
        A service refuses an object or does not answer.
    """
    if speed != "max" and not speed > 0:
        raise ConfigError(f"speed {speed} is not possible; it is a positive number, or max")
    clock = clock or SystemClock()
    files = schedule([Path(p) for p in paths])
    sink: Sink = IngestSink(to, keys) if to.startswith("tcp://") else FolderSink(Path(to))
    with sink, _progress(console) as progress:
        task = progress.add_task("playing", total=len(files))
        start_ns = clock.monotonic_ns()
        latest_ns = 0
        for file in files:
            content = file.path.read_bytes()
            if speed != "max":
                due_ns = start_ns + int(file.due_s / speed * 1e9)
                clock.sleep_until(due_ns)
                latest_ns = max(latest_ns, clock.monotonic_ns() - due_ns)
            sink.put(file.name, content)
            progress.update(task, advance=1)
        sink.flush()
        seconds = (clock.monotonic_ns() - start_ns) / 1e9
    return PlayReport(len(files), _volumes(files), seconds, latest_ns / 1e6)


def _volumes(files: list[ScheduledFile]) -> int:
    return 1 + max(file.volume for file in files)


def _progress(console: Console | None) -> Progress:
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
        console=console or Console(quiet=True),
        disable=console is None,
    )
