#!/usr/bin/env python3
"""Measure in a browser how soon after a decision's publication the participant's page shows it.

Usage, beside `rtdecode serve` and `rtdecode display`, on the same machine, before the run begins:
.venv/bin/python tools/bench/display_latency.py --session SESSION --url http://127.0.0.1:7820/

It opens the page in headless Chromium, follows the run to its end, and prints the time from the
moment a decision was durable (it is published next) to the change of the page, and to the browser's
next frame, in which it is painted.
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
    parser.add_argument("--session", type=Path, required=True)
    parser.add_argument("--url", required=True)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    published_ms: dict[int, float] = {}
    with sync_playwright() as playwright, Outcomes.of_session(given.session) as outcomes:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1920, "height": 1080})
        page.goto(given.url)
        page.evaluate(WATCH)
        for numbered in outcomes:
            if isinstance(numbered.outcome, Decision):
                offset_ns = time.time_ns() - time.monotonic_ns()
                recorded_ns = numbered.outcome.stamps.recorded_ns
                published_ms[numbered.sequence] = (recorded_ns + offset_ns) / 1e6
        page.wait_for_timeout(1000)
        changes = page.evaluate("window.changes")
        browser.close()
    seen = {sequence: times for sequence, *times in changes if sequence in published_ms}
    if not seen:
        print("no decision reached the page; is its block one of feedback?", file=sys.stderr)
        return 1
    late_ms = np.array([np.array(times) - published_ms[n] for n, times in seen.items()])
    print(f"{len(published_ms)} decisions, {len(seen)} of them seen on the page")
    for name, column in (("changed", late_ms[:, 0]), ("painted", late_ms[:, 1])):
        p50, p95 = np.percentile(column, (50, 95))
        over = int((column > GOAL_MS).sum())
        print(
            f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, max {column.max():.1f} ms, "
            f"{over} later than {GOAL_MS:.0f} ms"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
