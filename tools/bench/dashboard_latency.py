#!/usr/bin/env python3
"""Compare the service's latency with and without two open dashboards, side by side in one run.

Usage: .venv/bin/python tools/bench/dashboard_latency.py --bundle BUNDLE --dicom FOLDER [--speed 4]

A recorded series is played into a service with two dashboards, each open in a headless Chromium of
its own. While the run goes on, dashboards and browsers are halted and let go in turn, so that both
conditions see the same minutes of the same machine. Each volume counts where its last byte came.
At the end both pages must show what the journal holds. The browsers share the machine's processors
with the service here; an operator's often runs elsewhere (--browser-nice gives them less,
--own-core keeps them off the service's).
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
from rtdecode.types import Decision

RTDECODE = [sys.executable, "-m", "rtdecode"]
ANY_PORT = "tcp://127.0.0.1:*"
SETTLE_S = 3.0
"""After each change, for what was halted to catch up."""
DRAWS = 2000


@dataclass
class Measured:
    """Latencies of one condition, by phase."""

    phases: list[list[float]] = field(default_factory=list)

    @property
    def all_ms(self) -> np.ndarray:
        """All of them, milliseconds."""
        return np.array([ms for phase in self.phases for ms in phase])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--dicom", type=Path, required=True)
    parser.add_argument("--speed", default="4")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--phase-s", type=float, default=8.0)
    parser.add_argument("--browser-nice", type=int, default=0)
    parser.add_argument(
        "--own-core", action="store_true", help="the service has a core, and the rest the others"
    )
    arguments = parser.parse_args()
    conditions = {True: Measured(), False: Measured()}
    for run in range(arguments.runs):
        _run(arguments, conditions, first=run % 2 == 0)
    _report(conditions)
    return 0


def _run(arguments: argparse.Namespace, conditions: dict[bool, Measured], *, first: bool) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        session = folder / "session"
        (folder / "in").mkdir()
        serve = ["serve", "--bundle", str(arguments.bundle), "--source", f"folder:{folder / 'in'}"]
        serve += ["--session", str(session), "--outcomes", ANY_PORT, "--control", ANY_PORT]
        cores = psutil.Process().cpu_affinity()
        if arguments.own_core:  # what is started has those of whoever starts it
            psutil.Process().cpu_affinity(cores[:1])
        _started([*serve, "--provider", "cpu"], "ready", stack)
        if arguments.own_core:
            psutil.Process().cpu_affinity(cores[1:])
            stack.callback(psutil.Process().cpu_affinity, cores)
        dashboards = [
            _started(["dashboard", "--session", str(session), "--port", "0", "--no-open"],
                     "dashboard ", stack)
            for _ in range(2)
        ]  # fmt: skip
        chromium = stack.enter_context(sync_playwright()).chromium
        pages = []
        for _, told in dashboards:
            browser = chromium.launch(
                executable_path=shutil.which("chromium") or "google-chrome", args=["--no-sandbox"]
            )
            stack.callback(browser.close)
            pages.append(browser.new_page(viewport={"width": 1920, "height": 1080}))
            pages[-1].goto(told.split()[1])
            pages[-1].wait_for_selector("[data-state=ready]")
        halted = [psutil.Process(process.pid) for process, _ in dashboards]
        browsers = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]
        for process in browsers if arguments.browser_nice else []:
            process.nice(arguments.browser_nice)
        halted += browsers

        came: list[Decision] = []
        over = threading.Event()
        listening = threading.Thread(target=_listen, args=(session, came, over))
        listening.start()
        stack.callback(listening.join)
        stack.callback(over.set)
        play = ["replay", str(arguments.dicom), "--to", str(folder / "in")]
        replay = subprocess.Popen(  # noqa: S603 - our own command
            [*RTDECODE, *play, "--speed", arguments.speed], stdout=subprocess.DEVNULL
        )
        time.sleep(SETTLE_S)  # the first volumes are not decided yet
        phases: list[tuple[int, int, bool]] = []
        shown = first
        while replay.poll() is None:
            for process in halted:
                (process.resume if shown else process.suspend)()
            time.sleep(SETTLE_S)
            begun_ns = time.monotonic_ns()
            time.sleep(arguments.phase_s)
            phases.append((begun_ns, time.monotonic_ns(), shown))
            shown = not shown
        for process in halted:
            process.resume()
        _wait_for_the_last(came)
        for begun_ns, ended_ns, on in phases:
            within = [d for d in came if begun_ns <= d.stamps.received_ns < ended_ns]
            latencies = [(d.stamps.recorded_ns - d.stamps.received_ns) / 1e6 for d in within]
            if latencies:
                conditions[on].phases.append(latencies)
        for page in pages:
            _compare(page, session)
        print("both pages show what the journal holds", flush=True)


def _started(
    arguments: list[str], word: str, stack: ExitStack
) -> tuple[subprocess.Popen[str], str]:
    """Start a command and return it with the line that says it is ready."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*RTDECODE, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    for line in process.stderr or ():
        if line.startswith(word):
            # What comes later is read all the same: a full pipe would halt it.
            threading.Thread(target=process.communicate, daemon=True).start()
            return process, line
    raise SystemExit(f"rtdecode {arguments[0]} ended before it was ready")


def _listen(session: Path, came: list[Decision], over: threading.Event) -> None:
    with Outcomes.of_session(session) as outcomes:
        while not over.is_set():
            numbered = outcomes.poll(0.2)
            if numbered is not None and isinstance(numbered.outcome, Decision):
                came.append(numbered.outcome)


def _wait_for_the_last(came: list[Decision]) -> None:
    """Wait until nothing more is decided."""
    decided = -1
    while len(came) != decided:
        decided = len(came)
        time.sleep(3.0)


def _compare(page: Page, session: Path) -> None:
    """Stop where a page shows anything but the journal's values."""
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
    expected = {
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
