"""The computer's clocks."""

import time
from datetime import UTC, datetime

from rtdecode.bundle import MANIFEST
from rtdecode.check.context import Subject
from rtdecode.check.findings import CheckResult, Finding, green

CLOCK = "clock"
RESOLUTION_S = 1e-3
"""Coarser, and small latencies mean nothing."""
JUMP_S = 0.05
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
"""It was later than this when this was written."""


def check_clock(subject: Subject) -> Finding:
    """See whether the clocks tick, agree, and show a time that can be."""
    wall_ns = time.time_ns() - subject.began_wall_ns
    monotonic_ns = subject.clock.monotonic_ns() - subject.began_monotonic_ns
    manifest = subject.plan.bundle / MANIFEST
    made_s = manifest.stat().st_mtime if manifest.is_file() else 0.0
    return judged_clock(
        datetime.now().astimezone(),
        time.get_clock_info("monotonic").resolution,
        (wall_ns - monotonic_ns) / 1e9,
        monotonic_ns / 1e9,
        datetime.fromtimestamp(made_s, UTC),
    )


def judged_clock(
    now: datetime, resolution_s: float, jump_s: float, watched_s: float, bundle_made: datetime
) -> Finding:
    """Judge the clocks.

    Parameters
    ----------
    now
        The time of day, with its zone.
    resolution_s
        Of the monotonic clock.
    jump_s
        How much further the time of day went than the monotonic clock while it was watched.
    watched_s
        For how long that was.
    bundle_made
        When the bundle was written, which cannot be later than now.
    """
    figures = {"resolution_s": resolution_s, "jump_s": jump_s, "watched_s": watched_s}
    found = (
        f"{now:%Y-%m-%d %H:%M:%S} {now:%Z} (UTC{now:%z}); latencies are told to "
        f"{_short(resolution_s)}"
    )
    if resolution_s > RESOLUTION_S:
        return Finding(
            CLOCK,
            CheckResult.YELLOW,
            f"{found}, which is coarse",
            "nothing else suffers; on Windows, Python 3.13 has a finer clock",
            figures,
        )
    if now < WRITTEN or now < bundle_made:
        than = (
            "this software" if now < WRITTEN else f"the bundle ({bundle_made:%Y-%m-%d %H:%M} UTC)"
        )
        return Finding(
            CLOCK,
            CheckResult.YELLOW,
            f"{found}: that is earlier than {than}",
            "set this computer's clock: the record would have wrong times",
            figures,
        )
    if abs(jump_s) > JUMP_S:
        return Finding(
            CLOCK,
            CheckResult.YELLOW,
            f"{found}; the time of day jumped by {jump_s * 1e3:+.0f} ms within {watched_s:.0f} s",
            "let the clock settle (NTP): latencies do not depend on it, times in the record do",
            figures,
        )
    agree = f"it went {jump_s * 1e3:+.1f} ms against the steady clock in {watched_s:.0f} s"
    return green(CLOCK, f"{found}; {agree}", figures)


def _short(seconds: float) -> str:
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds * 1e6:.0f} µs" if seconds >= 1e-6 else f"{seconds * 1e9:.0f} ns"
