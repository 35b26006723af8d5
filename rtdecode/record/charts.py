"""Charts as inline SVG that takes its colours from the page."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from rtdecode.events import Event

WIDTH = 1000
_LEFT, _RIGHT = 132, 14
_SPAN = WIDTH - _LEFT - _RIGHT
_GLYPH = 7.2
"""Width of a letter at the charts' size of text, roughly."""
COLOURS = 4
MAX_TICKS = 4
MIN_LETTERS = 4
"""Of a name that is cut off."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Axis:
    """Seconds to pixels."""

    end_s: float

    def x(self, time_s: float) -> float:
        """Return where a moment is, kept inside."""
        return _LEFT + _SPAN * min(1.0, max(0.0, time_s / self.end_s))


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One measure over a run."""

    name: str
    values: Floats
    """`nan` where there is none."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What is drawn of a run's decisions, one entry a volume."""

    time_s: Floats
    probabilities: Floats
    """(n, K); `nan` where there is no decision."""
    labels: Sequence[str]
    """Empty where there is no decision."""
    losses: Sequence[tuple[float, float, str]]
    """From, to and reason of what has no decision."""
    late_s: Sequence[float]


def decisions(
    decided: Decided, classes: Sequence[str], presented: Sequence[Event], axis: Axis
) -> str:
    """Draw each class's probability, with its blocks behind and its decisions below."""
    row, gap, top = (46, 10, 30) if len(classes) <= 6 else (26, 7, 30)
    parts = []
    bottom = top + len(classes) * (row + gap)
    for start_s, end_s, event in _spans(presented, axis.end_s):
        parts.append(_presented(axis, start_s, end_s, event, classes, top, bottom))
    for at, name in enumerate(classes):
        y = top + at * (row + gap)
        parts.append(
            f'<rect x="{_LEFT}" y="{y}" width="{_SPAN}" height="{row}" class="ground"/>'
            + "".join(
                _box(axis, start_s, end_s, y, row, "shown", event.trial_type)
                for start_s, end_s, event in _spans(presented, axis.end_s)
                if event.trial_type == name
            )
            + f'<text x="{_LEFT - 10}" y="{y + row / 2 + 5:.0f}" text-anchor="end">'
            f"{escape(_short(name))}<title>{escape(name)}</title></text>"
            + _area(decided.time_s, decided.probabilities[:, at], axis, y, row)
            + _labelled(decided, name, axis, y + row)
        )
    parts += [
        _box(axis, start_s, end_s, top, bottom - top - gap, "lost", reason)
        for start_s, end_s, reason in decided.losses
    ]
    parts += [
        f'<path d="M{axis.x(t):.1f},{bottom - gap}v6" class="late"><title>late</title></path>'
        for t in decided.late_s
    ]
    parts += seconds(axis, bottom + 16)
    return svg(bottom + 22, parts, "Probability of each class over the run")


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
        At most `COLOURS`.
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

    parts = [f'<text x="{_LEFT}" y="18" class="strong">{escape(title)}</text>']
    x = _LEFT + _GLYPH * len(title) + 34
    if len(measures) > 1:
        for at, line in enumerate(measures):
            parts.append(
                f'<rect x="{x:.0f}" y="9" width="12" height="4" class="fill{at}"/>'
                f'<text x="{x + 17:.0f}" y="18" class="quiet">{escape(line.name)}</text>'
            )
            x += 34 + _GLYPH * len(line.name)
    parts += [
        f'<path d="M{_LEFT},{y(tick):.1f}h{_SPAN}" class="grid"/>'
        f'<text x="{_LEFT - 10}" y="{y(tick) + 4:.1f}" text-anchor="end" class="quiet">'
        f"{tick:g}</text>"
        for tick in _ticks(low, high)
    ]
    parts += [
        f'<path d="M{_LEFT},{y(mark):.1f}h{_SPAN}" class="mark"/>'
        for mark in marks
        if low < mark < high
    ]
    beyond: list[tuple[float, float]] = []
    if limit is not None and low <= limit <= high:
        parts.append(f'<path d="M{_LEFT},{y(limit):.1f}h{_SPAN}" class="limit"/>')
        points = [p for line in measures for p in zip(time_s, line.values, strict=True)]
        beyond = [(t, v) for t, v in points if v > limit]
    for at, line in enumerate(measures):
        path = _path((axis.x(t), y(v)) for t, v in zip(time_s, line.values, strict=True))
        parts.append(f'<path d="{path}" class="trace stroke{at}"/>')
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


def svg(height: float, parts: Sequence[str], title: str) -> str:
    """Return a whole picture."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _spans(presented: Sequence[Event], end_s: float) -> list[tuple[float, float, Event]]:
    """Return from and to of each event; one without a duration lasts until the next."""
    spans = []
    for at, event in enumerate(presented):
        following_s = presented[at + 1].onset_s if at + 1 < len(presented) else end_s
        last_s = following_s if event.duration_s is None else event.onset_s + event.duration_s
        if event.onset_s < end_s and last_s > 0:
            spans.append((event.onset_s, last_s, event))
    return spans


def _presented(
    axis: Axis,
    start_s: float,
    end_s: float,
    event: Event,
    classes: Sequence[str],
    top: float,
    bottom: float,
) -> str:
    """Draw the head of an event: a bar, its name, and where it began."""
    known = event.trial_type in classes
    x, width = axis.x(start_s), axis.x(end_s) - axis.x(start_s)
    room = int((width + 2) / _GLYPH)
    name = event.trial_type
    if known:  # its row names it
        name = ""
    elif len(name) > room:
        name = "" if room < MIN_LETTERS else f"{name[: room - 1]}…"
    label = f'<text x="{x:.1f}" y="14" class="quiet">{escape(name)}</text>' if name else ""
    kind = "block" if known else "other"
    return (
        f'{label}<rect x="{x:.1f}" y="19" width="{max(width, 1):.1f}" height="5" class="{kind}">'
        f"<title>{escape(event.trial_type)}, {start_s:g} to {end_s:g} s</title></rect>"
        f'<path d="M{x:.1f},{top}V{bottom:.1f}" class="edge"/>'
    )


def _box(
    axis: Axis, start_s: float, end_s: float, y: float, height: float, kind: str, title: str
) -> str:
    x = axis.x(start_s)
    width = max(axis.x(end_s) - x, 0.8)
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{kind}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _area(time_s: Floats, values: Floats, axis: Axis, y: float, height: float) -> str:
    """Draw one class's probability; a volume without one leaves a gap."""
    parts, at = [], 0
    known = np.isfinite(values)
    while at < len(values):
        if not known[at]:
            at += 1
            continue
        end = at
        while end < len(values) and known[end]:
            end += 1
        points = [
            (axis.x(t), y + height * (1 - v))
            for t, v in zip(time_s[at:end], values[at:end], strict=True)
        ]
        line = _path(points)
        base = y + height
        parts.append(
            f'<path d="{line}L{points[-1][0]:.1f},{base}L{points[0][0]:.1f},{base}Z" class="area"/>'
            f'<path d="{line}" class="trace stroke0"/>'
        )
        at = end
    return "".join(parts)


def _labelled(decided: Decided, name: str, axis: Axis, y: float) -> str:
    """Draw a bar under the volumes that were decided for a class."""
    path = []
    step_s = float(np.median(np.diff(decided.time_s))) if len(decided.time_s) > 1 else 1.0
    for time_s, label in zip(decided.time_s, decided.labels, strict=True):
        if label == name:
            path.append(f"M{axis.x(time_s - step_s / 2):.1f},{y + 2}"
                        f"H{axis.x(time_s + step_s / 2):.1f}")  # fmt: skip
    return f'<path d="{"".join(path)}" class="decided"/>' if path else ""


def _path(points: Iterable[tuple[float, float]]) -> str:
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


def _short(name: str) -> str:
    return name if len(name) <= 15 else f"{name[:14]}…"
