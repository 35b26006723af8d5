#!/usr/bin/env python3
"""Measure in a browser the delay from a decision to the participant's page.

Start it before the run begins, on the machine of `rtdecode serve` and `rtdecode display`:

  .venv/bin/python tools/bench/display_latency.py --session SESSION --url http://127.0.0.1:7820/

It opens the page in headless Chromium and follows the run to its end. For each decision it takes
the time from when it was durable (it is published next) to the change of the page, and to the
browser's next frame, in which the change is painted. It prints percentiles of both.
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from rtdecode.client import Outcomes
from rtdecode.types import Decision

GOAL_MS = 100.0

WATCH = """
window.changes = [];
const clock = () => performance.timeOrigin + performance.now();
new MutationObserver(() => {
  const sequence = Number(document.body.dataset.sequence), changed = clock();
  requestAnimationFrame(() => window.changes.push([sequence, changed, clock()]));
}).observe(document.body, { attributeFilter: ["data-sequence"] });
"""


def main() -> int:
    """Watch a run, and print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--session", type=Path, required=True, help="the session's folder")
    parser.add_argument("--url", required=True, help="address of the participant's page")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    published_ms: dict[int, float] = {}
    with sync_playwright() as playwright, Outcomes.of_session(arguments.session) as outcomes:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(arguments.url)
        page.evaluate(WATCH)
        for numbered in outcomes:
            if isinstance(numbered.outcome, Decision):
                offset_ns = time.time_ns() - time.monotonic_ns()
                recorded_ns = numbered.outcome.stamps.recorded_ns
                published_ms[numbered.sequence] = (recorded_ns + offset_ns) / 1e6
        page.wait_for_timeout(1000)
        changes = page.evaluate("window.changes")
        browser.close()
    shown = {sequence: times for sequence, *times in changes if sequence in published_ms}
    if not shown:
        print("no decision reached the page: no block of the run shows feedback", file=sys.stderr)
        return 1
    delay_ms = np.array([np.array(times) - published_ms[n] for n, times in shown.items()])
    print(f"{len(published_ms)} decisions, {len(shown)} of them shown on the page")
    for name, column in (("changed", delay_ms[:, 0]), ("painted", delay_ms[:, 1])):
        p50, p95 = np.percentile(column, (50, 95))
        later = int((column > GOAL_MS).sum())
        print(
            f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, max {column.max():.1f} ms, "
            f"{later} later than {GOAL_MS:.0f} ms"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
