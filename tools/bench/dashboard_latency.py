#!/usr/bin/env python3
"""Compare the service's latency with and without two open dashboards, within one run.

Usage: .venv/bin/python tools/bench/dashboard_latency.py --bundle BUNDLE --dicom FOLDER [--speed 4]

A recorded series is played into a service with two dashboards. Each dashboard is open in a headless
Chromium. During the run, dashboards and browsers are suspended and resumed in turn, so that both
conditions are measured in the same minutes on the same machine. A volume belongs to the phase in
which its last byte arrived. At the end both pages must show the values of the journal.

Here the browsers share the processors with the service; an operator's browser often runs on another
computer. --browser-nice lowers the browsers' priority, --own-core gives the service its own core.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from rtdecode.client import Outcomes
from rtdecode.journal import read_session
from rtdecode.types import Decision, Float64

RTDECODE = [sys.executable, "-m", "rtdecode"]
ANY_PORT = "tcp://127.0.0.1:*"
SETTLE_S = 3.0
"""Waiting time after each change, in which the resumed processes catch up."""
DRAWS = 2000
"""Bootstrap draws of phases."""


@dataclass
class Measured:
    """Latencies of one condition."""

    phases: list[list[float]] = field(default_factory=list)
    """Milliseconds of each volume, by phase."""

    @property
    def all_ms(self) -> Float64:
        """Latencies of all phases in milliseconds, (volumes,)."""
        return np.array([ms for phase in self.phases for ms in phase])


@dataclass(frozen=True)
class Phase:
    """A part of a run in one condition, in monotonic time."""

    begin_ns: int
    end_ns: int
    with_dashboards: bool


@dataclass(frozen=True)
class Dashboards:
    """The open pages, and the processes of the dashboards and browsers."""

    pages: list[Page]
    processes: list[psutil.Process]


def main() -> int:
    """Measure some runs, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="the decoder")
    parser.add_argument("--dicom", type=Path, required=True, help="folder of a recorded series")
    parser.add_argument("--speed", default="4", help="pace of the series, 1 as recorded (4)")
    parser.add_argument("--runs", type=int, default=2, help="number of runs (2)")
    parser.add_argument("--phase-s", type=float, default=8.0, help="length of a phase (8)")
    parser.add_argument("--browser-nice", type=int, default=0, help="niceness of browsers (0)")
    parser.add_argument(
        "--own-core", action="store_true", help="one core for the service, the others for all else"
    )
    arguments = parser.parse_args()
    conditions = {True: Measured(), False: Measured()}
    for run in range(arguments.runs):
        _run(arguments, conditions, first=run % 2 == 0)
    _report(conditions)
    return 0


def _run(arguments: argparse.Namespace, conditions: dict[bool, Measured], *, first: bool) -> None:
    """Play the series once, and add the latencies of each phase to its condition."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        session, incoming = folder / "session", folder / "in"
        incoming.mkdir()
        _start_service(arguments, session, incoming, stack)
        dashboards = _open_dashboards(session, arguments.browser_nice, stack)
        decisions: list[Decision] = []
        stop = threading.Event()
        listener = threading.Thread(target=_listen, args=(session, decisions, stop))
        listener.start()
        stack.callback(listener.join)
        stack.callback(stop.set)
        replay = ["replay", str(arguments.dicom), "--to", str(incoming), "--speed", arguments.speed]
        player = subprocess.Popen([*RTDECODE, *replay], stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        phases = _alternate(dashboards.processes, player, arguments.phase_s, first=first)
        _wait_for_the_last(decisions)
        for phase in phases:
            within = [d for d in decisions if phase.begin_ns <= d.stamps.received_ns < phase.end_ns]
            latencies = [(d.stamps.recorded_ns - d.stamps.received_ns) / 1e6 for d in within]
            if latencies:
                conditions[phase.with_dashboards].phases.append(latencies)
        for page in dashboards.pages:
            _compare(page, session)
        print("both pages show the journal's values", flush=True)


def _start_service(
    arguments: argparse.Namespace, session: Path, incoming: Path, stack: ExitStack
) -> None:
    serve = ["serve", "--bundle", str(arguments.bundle), "--source", f"folder:{incoming}"]
    serve += ["--session", str(session), "--outcomes", ANY_PORT, "--control", ANY_PORT]
    cores = psutil.Process().cpu_affinity()
    if arguments.own_core:  # a process inherits the cores of its parent
        psutil.Process().cpu_affinity(cores[:1])
    _started([*serve, "--provider", "cpu"], "ready", stack)
    if arguments.own_core:
        psutil.Process().cpu_affinity(cores[1:])
        stack.callback(psutil.Process().cpu_affinity, cores)


def _open_dashboards(session: Path, browser_nice: int, stack: ExitStack) -> Dashboards:
    """Start two dashboards, each with its own browser."""
    command = ["dashboard", "--session", str(session), "--port", "0", "--no-open"]
    started = [_started(command, "dashboard ", stack) for _ in range(2)]
    chromium = stack.enter_context(sync_playwright()).chromium
    pages = []
    for _, line in started:
        browser = chromium.launch(
            executable_path=shutil.which("chromium") or "google-chrome", args=["--no-sandbox"]
        )
        stack.callback(browser.close)
        pages.append(browser.new_page(viewport={"width": 1920, "height": 1080}))
        pages[-1].goto(line.split()[1])
        pages[-1].wait_for_selector("[data-state=ready]")
    browsers = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]
    for process in browsers if browser_nice else []:
        process.nice(browser_nice)
    return Dashboards(pages, [psutil.Process(process.pid) for process, _ in started] + browsers)


def _alternate(
    processes: list[psutil.Process], player: subprocess.Popen[bytes], phase_s: float, *, first: bool
) -> list[Phase]:
    """Resume and suspend the dashboards in turn until the series is played; return the phases."""
    time.sleep(SETTLE_S)  # the first volumes are not decided yet
    phases = []
    running = first
    while player.poll() is None:
        for process in processes:
            (process.resume if running else process.suspend)()
        time.sleep(SETTLE_S)
        begin_ns = time.monotonic_ns()
        time.sleep(phase_s)
        phases.append(Phase(begin_ns, time.monotonic_ns(), running))
        running = not running
    for process in processes:
        process.resume()
    return phases


def _started(
    arguments: list[str], word: str, stack: ExitStack
) -> tuple[subprocess.Popen[str], str]:
    """Start a command, and return it with the line that begins with `word`: it is ready."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*RTDECODE, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for line in process.stderr or ():
        if line.startswith(word):
            # The rest is read too: a full pipe would block the process.
            threading.Thread(target=process.communicate, daemon=True).start()
            return process, line
    raise SystemExit(f"rtdecode {arguments[0]} ended before it was ready")


def _listen(session: Path, decisions: list[Decision], stop: threading.Event) -> None:
    with Outcomes.of_session(session) as outcomes:
        while not stop.is_set():
            numbered = outcomes.poll(0.2)
            if numbered is not None and isinstance(numbered.outcome, Decision):
                decisions.append(numbered.outcome)


def _wait_for_the_last(decisions: list[Decision]) -> None:
    """Wait until no more decisions arrive."""
    count = -1
    while len(decisions) != count:
        count = len(decisions)
        time.sleep(3.0)


def _compare(page: Page, session: Path) -> None:
    """Stop with an error if a page does not show the journal's values."""
    recorded = read_session(session).runs[-1].outcomes
    last = recorded[-1]
    if not isinstance(last, Decision):
        raise SystemExit(f"the last volume was skipped: {last.detail}")
    page.wait_for_selector(f"[data-index='{last.index}'][data-decided='{last.index}']")
    page.wait_for_selector(f".slices img[data-index='{last.index}']")

    def shown(name: str) -> str:
        return page.locator(f"[data-{name}]").first.get_attribute(f"data-{name}") or ""

    probabilities = page.locator("[data-probability]").evaluate_all(
        "all => all.map(e => Number(e.dataset.probability))"
    )
    decisions = sum(isinstance(outcome, Decision) for outcome in recorded)
    skipped = len(recorded) - decisions
    expected: dict[str, str | float] = {
        "label": last.label,
        "fd": last.quality.framewise_displacement,
        "dvars": last.quality.dvars,
        "tsnr": last.quality.temporal_snr,
        "decisions": decisions,
        "skipped": skipped,
        "volumes": len(recorded),
    }
    for name, value in expected.items():
        if type(value)(shown(name)) != value:
            raise SystemExit(f"the page shows {name} {shown(name)}, the journal holds {value}")
    if not probabilities or not set(probabilities) <= set(last.probabilities):
        raise SystemExit(f"the page shows {probabilities}, the journal holds {last.probabilities}")


def _report(conditions: dict[bool, Measured]) -> None:
    for on, name in ((False, "without"), (True, "with two dashboards")):
        p50, p95, p99 = np.percentile(conditions[on].all_ms, (50, 95, 99))
        print(
            f"{name:20} {len(conditions[on].all_ms):5} volumes in {len(conditions[on].phases)} "
            f"phases: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"
        )
    rng = np.random.default_rng(0)
    for percentile in (50, 95):
        ratios = []
        for _ in range(DRAWS):
            values = []
            for on in (True, False):
                phases = conditions[on].phases
                drawn = [phases[n] for n in rng.integers(0, len(phases), len(phases))]
                values.append(np.percentile(np.concatenate(drawn), percentile))
            ratios.append(values[0] / values[1])
        low, high = np.percentile(ratios, (2.5, 97.5))
        ratio = np.percentile(conditions[True].all_ms, percentile) / np.percentile(
            conditions[False].all_ms, percentile
        )
        print(
            f"p{percentile} with / without: {ratio:.3f} (95 % over phases {low:.3f} to {high:.3f})"
        )
    print(f"load of the machine over the last minute {psutil.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    sys.exit(main())
