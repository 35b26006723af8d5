"""Check of the computer's clocks."""

import time
from datetime import UTC, datetime

from rtdecode.bundle import MANIFEST
from rtdecode.check.context import CheckContext
from rtdecode.check.findings import CheckResult, Finding, green

CLOCK = "clock"
RESOLUTION_S = 1e-3
"""With a coarser clock, small latencies have no meaning."""
JUMP_S = 0.05
EARLIEST_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""This software was written after this time."""


def check_clock(context: CheckContext) -> Finding:
    """Check the clocks' resolution, agreement and time."""
    wall_ns = time.time_ns() - context.start_wall_ns
    monotonic_ns = context.clock.monotonic_ns() - context.start_monotonic_ns
    manifest = context.plan.bundle / MANIFEST
    written_s = manifest.stat().st_mtime if manifest.is_file() else 0.0
    return judge_clock(
        datetime.now().astimezone(),
        time.get_clock_info("monotonic").resolution,
        (wall_ns - monotonic_ns) / 1e9,
        monotonic_ns / 1e9,
        datetime.fromtimestamp(written_s, UTC),
    )


def judge_clock(
    now: datetime, resolution_s: float, jump_s: float, watched_s: float, bundle_made: datetime
) -> Finding:
    """Judge the clocks from their readings.

    Parameters
    ----------
    now
        Time of day with its zone.
    resolution_s
        Resolution of the monotonic clock.
    jump_s
        Advance of the time of day relative to the monotonic clock during the checks.
    watched_s
        Duration of the checks.
    bundle_made
        Time when the bundle was written, which cannot be later than now.
    """
    figures = {"resolution_s": resolution_s, "jump_s": jump_s, "watched_s": watched_s}
    found = (
        f"{now:%Y-%m-%d %H:%M:%S} {now:%Z} (UTC{now:%z}); latencies are measured to "
        f"{_short(resolution_s)}"
    )
    if resolution_s > RESOLUTION_S:
        return Finding(
            CLOCK,
            CheckResult.YELLOW,
            f"{found}, which is a coarse resolution",
            "only latencies are affected; on Windows, Python 3.13 has a finer clock",
            figures,
        )
    if now < EARLIEST_TIME or now < bundle_made:
        bundle = f"the bundle ({bundle_made:%Y-%m-%d %H:%M} UTC)"
        later = "this software" if now < EARLIEST_TIME else bundle
        return Finding(
            CLOCK,
            CheckResult.YELLOW,
            f"{found}: this is earlier than {later}",
            "set this computer's clock: the record would have wrong times",
            figures,
        )
    if abs(jump_s) > JUMP_S:
        return Finding(
            CLOCK,
            CheckResult.YELLOW,
            f"{found}; the time of day jumped by {jump_s * 1e3:+.0f} ms within {watched_s:.0f} s",
            "wait for the NTP synchronisation; recorded times depend on it, latencies do not",
            figures,
        )
    drift = f"it drifted {jump_s * 1e3:+.1f} ms from the monotonic clock in {watched_s:.0f} s"
    return green(CLOCK, f"{found}; {drift}", figures)


def _short(seconds: float) -> str:
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds * 1e6:.0f} µs" if seconds >= 1e-6 else f"{seconds * 1e9:.0f} ns"
