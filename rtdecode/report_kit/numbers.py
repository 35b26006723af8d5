"""Figures as people read them."""

import math
from typing import Literal


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


def count(number: int, what: str, separator: Literal["", ","] = "") -> str:
    """Return a number with its noun, in the plural if it is not 1.

    `separator` stands between thousands.
    """
    return f"{number:{separator}} {what}{'' if number == 1 else 's'}"
