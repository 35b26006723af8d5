"""Measure when each step of a calibration begins and ends, from files and during the acquisition.

`tools/bench/benchmark.py --calibrate` prints the result. Steps may run in parallel, so begin and
end are printed and no sum.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from calibration.calibration_settings import CalibrationSettings
from calibration.data.acquire import acquire, read_run
from calibration.demo.scan import ScanSettings, scan, write
from calibration.progress import silent
from calibration.recipe import Announcements, calibrate, start_preparation
from calibration.simulation import load_template
from calibration.weights.pretrained import Pretrained, load_pretrained
from rtdecode.player import play
from rtdecode.service import ServiceSettings
from rtdecode.types import Volume

VERDICT, SERVABLE, COMPLETE = "VERDICT", "BUNDLE CAN BE SERVED", "COMPLETE"


@dataclass
class Watch:
    """Records when steps begin and end, in seconds from `zero_s`."""

    zero_s: float = field(default_factory=time.perf_counter)
    steps: dict[str, list[float]] = field(default_factory=dict)

    def progress(self, step: str, _done: int = 1, _total: int = 1) -> None:
        """Record that a step is running."""
        now_s = time.perf_counter() - self.zero_s
        self.steps.setdefault(step, [now_s, now_s])[1] = now_s

    def announcements(self) -> Announcements:
        """Return callbacks that record the verdict and the bundle."""
        return Announcements(
            lambda _fitted: self.progress(VERDICT), lambda _bundle: self.progress(SERVABLE)
        )


def profile(
    run: Path | None, events: Path | None, weights: str, speed: float, console: Console
) -> dict[str, dict[str, list[float]]]:
    """Calibrate from files and live, and return begin and end of each step in seconds.

    Parameters
    ----------
    run, events
        A DICOM folder and its BIDS events; `None` for a simulated run of 8 minutes.
    weights
        The pretrained weights.
    speed
        Pace at which the run is acquired, 1 as by the scanner.
    console
        The tables are printed on it.
    """
    pretrained = load_pretrained(weights)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if run is None or events is None:
            simulated, _ = scan(load_template(), ScanSettings(), seed=1)
            run = write(simulated, folder, silent)
            events = folder / "events.tsv"
        results = {
            "offline": offline(run, events, pretrained, folder),
            "live": live(run, events, pretrained, folder, speed),
        }
    show(results, console)
    return results


def offline(
    run: Path, events: Path, pretrained: Pretrained, folder: Path
) -> dict[str, list[float]]:
    """Calibrate from files; time zero is when reading begins."""
    watch = Watch()
    watch.progress("read the run")
    volumes = read_run(run)
    watch.progress("read the run")
    settings = CalibrationSettings("offline")
    calibrate(
        [volumes],
        pretrained,
        [events],
        folder / "offline",
        settings,
        watch.progress,
        announce=watch.announcements(),
    )
    watch.progress(COMPLETE)
    return watch.steps


def live(
    run: Path, events: Path, pretrained: Pretrained, folder: Path, speed: float
) -> dict[str, list[float]]:
    """Calibrate while the run is played into a folder; time zero is its last volume."""
    count = len(read_run(run))
    incoming = folder / "incoming"
    incoming.mkdir()
    watch = Watch()
    settings = CalibrationSettings("live")
    service = ServiceSettings(folder / "session", f"folder:{incoming}", volumes=count)
    last_s = [0.0]
    with start_preparation(pretrained, settings, count) as prepared_run:

        def add(volume: Volume) -> None:
            last_s[0] = time.perf_counter() - watch.zero_s
            prepared_run.add(volume)

        acquire(service, add, on_ready=_player(run, incoming, speed))
        calibrate(
            [prepared_run.volumes],
            pretrained,
            [events],
            folder / "live",
            settings,
            watch.progress,
            preparation=prepared_run,
            announce=watch.announcements(),
        )
    watch.progress(COMPLETE)
    return {step: [t - last_s[0] for t in span] for step, span in watch.steps.items()}


def _player(run: Path, incoming: Path, speed: float) -> Callable[[object], None]:
    def start(_endpoints: object) -> None:
        threading.Thread(target=play, args=([run], str(incoming), speed), daemon=True).start()

    return start


def show(results: dict[str, dict[str, list[float]]], console: Console) -> None:
    """Print one table per way of calibration."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    zero = {"offline": "from the first file", "live": "from the last volume"}
    for way, steps in results.items():
        table = Table(
            title=f"{way}: seconds {zero[way]}",
            caption=f"{os.cpu_count()} cores, load {load:.1f} at the end",
        )
        table.add_column("step")
        table.add_column("begins", justify="right")
        table.add_column("ends", justify="right")
        for step, (begin, end) in sorted(steps.items(), key=lambda item: item[1][1]):
            style = "bold" if step in {VERDICT, SERVABLE, COMPLETE} else ""
            table.add_row(step, f"{begin:.1f}", f"{end:.1f}", style=style)
        console.print(table)
