"""Axes and lines as inline SVG that takes its colours from the page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH = 1000
LEFT, RIGHT = 132, 14
SPAN = WIDTH - LEFT - RIGHT
GLYPH = 7.2
"""Width of a letter at the charts' size of text, roughly."""
MAX_TICKS = 4
MAX_NAME = 15
"""Letters of a name next to an axis; longer names are cut off."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Axis:
    """Seconds to pixels."""

    end_s: float

    def x(self, time_s: float) -> float:
        """Return where a moment is, kept inside."""
        return LEFT + SPAN * min(1.0, max(0.0, time_s / self.end_s))


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One measure over a run."""

    name: str
    values: Floats
    """`nan` where there is none."""


def lines(
    measures: Sequence[ChartLine],
    time_s: Floats,
    axis: Axis,
    title: str,
    *,
    limit: float | None = None,
    marks: Sequence[float] = (),
    floor: float | None = 0.0,
) -> str:
    """Draw some measures over a run, with a limit and what lies beyond it.

    Parameters
    ----------
    measures
        At most as many as the palette has colours.
    time_s
        (n,)
    axis
        The run's.
    title
        With the unit.
    limit
        Drawn across where it is not far off the scale.
    marks
        Thin lines across at these values.
    floor
        The scale holds this value, unless `None`.
    """
    top, height = 30, 96
    shown = [line.values[np.isfinite(line.values)] for line in measures]
    values = np.concatenate([*shown, np.zeros(0)])
    low, high = _range(values, limit, floor)

    def y(value: float) -> float:
        return top + height * (1 - (value - low) / (high - low))

    parts = [f'<text x="{LEFT}" y="18" class="strong">{escape(title)}</text>']
    x = LEFT + GLYPH * len(title) + 34
    if len(measures) > 1:
        for at, line in enumerate(measures):
            parts.append(
                f'<rect x="{x:.0f}" y="9" width="12" height="4" class="fill{at}"/>'
                f'<text x="{x + 17:.0f}" y="18" class="quiet">{escape(line.name)}</text>'
            )
            x += 34 + GLYPH * len(line.name)
    parts += [
        f'<path d="M{LEFT},{y(tick):.1f}h{SPAN}" class="grid"/>'
        f'<text x="{LEFT - 10}" y="{y(tick) + 4:.1f}" text-anchor="end" class="quiet">'
        f"{tick:g}</text>"
        for tick in _ticks(low, high)
    ]
    parts += [
        f'<path d="M{LEFT},{y(mark):.1f}h{SPAN}" class="mark"/>'
        for mark in marks
        if low < mark < high
    ]
    beyond: list[tuple[float, float]] = []
    if limit is not None and low <= limit <= high:
        parts.append(f'<path d="M{LEFT},{y(limit):.1f}h{SPAN}" class="limit"/>')
        points = [p for line in measures for p in zip(time_s, line.values, strict=True)]
        beyond = [(t, v) for t, v in points if v > limit]
    for at, line in enumerate(measures):
        drawn = path((axis.x(t), y(v)) for t, v in zip(time_s, line.values, strict=True))
        parts.append(f'<path d="{drawn}" class="trace stroke{at}"/>')
    parts += [
        f'<circle cx="{axis.x(t):.1f}" cy="{y(v):.1f}" r="3" class="beyond"/>' for t, v in beyond
    ]
    parts += seconds(axis, top + height + 18)
    return svg(top + height + 24, parts, title)


def seconds(axis: Axis, y: float) -> list[str]:
    """Return the labels of a time axis."""
    step_s = next(
        (s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800) if axis.end_s / s <= 11), 3600
    )
    ticks = range(0, int(axis.end_s) + 1, step_s)
    return [
        f'<text x="{axis.x(t):.0f}" y="{y:.0f}" text-anchor="middle" class="quiet">{t}'
        f"{' s' if t == 0 else ''}</text>"
        for t in ticks
    ]


def svg(height: float, parts: Sequence[str], title: str, width: int = WIDTH) -> str:
    """Return a whole picture; a narrow one is not stretched."""
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" style="max-width:{width}px" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return a path that begins anew behind what is no number."""
    parts, pen = [], "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        parts.append(f"{pen}{x:.1f},{y:.1f}")
        pen = "L"
    return "".join(parts)


def _range(values: Floats, limit: float | None, floor: float | None) -> tuple[float, float]:
    known = [float(values.min()), float(values.max())] if len(values) else [0.0, 1.0]
    low, high = min(known), max(known)
    if floor is not None:
        low, high = min(low, floor), max(high, floor)
    # A limit far away would flatten the measure.
    if limit is not None and limit <= 4 * high:
        high = max(high, 1.08 * limit)
    if high - low < 1e-9:
        high = low + 1.0
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Return two to four round values within a range."""
    scale = 10.0 ** math.floor(math.log10((high - low) / 10))
    steps = [factor * scale for factor in (1, 2, 5, 10, 20, 50)]
    found = [
        range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1) for step in steps
    ]
    at = next(at for at, ticks in enumerate(found) if len(ticks) <= MAX_TICKS)
    return [round(steps[at] * tick, 10) for tick in found[at]]


def short(name: str) -> str:
    """Return a name that fits next to an axis."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
