"""When each step of a calibration begins and ends, offline and while the run is acquired.

`tools/benchmark --calibrate` prints it. Steps may run side by side, so that begin and end are told
and no sum is made.
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

from calibration.data.acquire import acquire, read_run
from calibration.demo.scan import ScanSettings, scan, write
from calibration.progress import silent
from calibration.recipe import Announcements, CalibrationSettings, calibrate, start_preparation
from calibration.simulation import load_template
from calibration.weights.pretrained import Pretrained, load_pretrained
from rtdecode.player import play
from rtdecode.service import ServiceSettings

VERDICT, SERVABLE, COMPLETE = "VERDICT", "BUNDLE CAN BE SERVED", "COMPLETE"


@dataclass
class Watch:
    """Notes when steps begin and end, in seconds from zero."""

    zero_s: float = field(default_factory=time.perf_counter)
    steps: dict[str, list[float]] = field(default_factory=dict)

    def progress(self, step: str, _done: int = 1, _total: int = 1) -> None:
        """Note that a step goes on."""
        now_s = time.perf_counter() - self.zero_s
        self.steps.setdefault(step, [now_s, now_s])[1] = now_s

    def announcements(self) -> Announcements:
        """Return what notes the verdict and the bundle."""
        return Announcements(
            lambda _fitted: self.progress(VERDICT), lambda _bundle: self.progress(SERVABLE)
        )


def profile(
    run: Path | None, events: Path | None, weights: str, speed: float, console: Console
) -> dict[str, dict[str, list[float]]]:
    """Calibrate offline and live, and return begin and end of each step in seconds.

    Parameters
    ----------
    run, events
        A DICOM folder and its BIDS events; `None` for a simulated run of 8 minutes.
    weights
        The pretrained weights.
    speed
        Pace at which the run is acquired, 1 as by the scanner.
    console
        Where the tables go.
    """
    pretrained = load_pretrained(weights)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if run is None or events is None:
            simulated, _ = scan(load_template(), ScanSettings(), seed=1)
            run = write(simulated, folder, silent)
            events = folder / "events.tsv"
        found = {
            "offline": offline(run, events, pretrained, folder),
            "live": live(run, events, pretrained, folder, speed),
        }
    show(found, console)
    return found


def offline(
    run: Path, events: Path, pretrained: Pretrained, folder: Path
) -> dict[str, list[float]]:
    """Calibrate from files; zero is when they begin to be read."""
    watch = Watch()
    watch.progress("read the run")
    volumes = read_run(run)
    watch.progress("read the run")
    settings = CalibrationSettings("offline")
    calibrate([volumes], pretrained, [events], folder / "offline", settings, watch.progress,
              announce=watch.announcements())  # fmt: skip
    watch.progress(COMPLETE)
    return watch.steps


def live(
    run: Path, events: Path, pretrained: Pretrained, folder: Path, speed: float
) -> dict[str, list[float]]:
    """Calibrate while the run is played into a folder; zero is its last volume."""
    count = len(read_run(run))
    incoming = folder / "incoming"
    incoming.mkdir()
    watch = Watch()
    settings = CalibrationSettings("live")
    service = ServiceSettings(folder / "session", f"folder:{incoming}", volumes=count)
    last_s = [0.0]
    with start_preparation(pretrained, settings, count) as preparation:

        def came(volume: object) -> None:
            last_s[0] = time.perf_counter() - watch.zero_s
            preparation.add(volume)  # type: ignore[arg-type]  # the service hands on volumes

        acquire(service, came, on_ready=_player(run, incoming, speed))
        calibrate(
            [preparation.volumes], pretrained, [events], folder / "live", settings, watch.progress,
            preparation=preparation, announce=watch.announcements(),
        )  # fmt: skip
    watch.progress(COMPLETE)
    return {step: [t - last_s[0] for t in span] for step, span in watch.steps.items()}


def _player(run: Path, incoming: Path, speed: float) -> Callable[[object], None]:
    def start(_endpoints: object) -> None:
        threading.Thread(target=play, args=([run], str(incoming), speed), daemon=True).start()

    return start


def show(found: dict[str, dict[str, list[float]]], console: Console) -> None:
    """Print a table of each way."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    zero = {"offline": "from the first file", "live": "from the last volume"}
    for way, steps in found.items():
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
