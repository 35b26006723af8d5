"""Figures as people read them."""

import math

from rtdecode.bundle import Manifest


def shown(value: float) -> str:
    """Return a figure with three digits that count; `n/a` for none."""
    if not math.isfinite(value):
        return "n/a"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.0f} %"


def count(number: int, what: str) -> str:
    """Return so many of something."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def read_out(manifest: Manifest) -> str:
    """Return how a decoder's decisions come from single volumes."""
    if manifest.dwell_s is None:
        return f"a window of {count(manifest.window_volumes, 'volume')}"
    return f"a forward filter, expected dwell time {manifest.dwell_s:g} s"
