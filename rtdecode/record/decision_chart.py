"""The chart of a run's decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from rtdecode.events import Event
from rtdecode.report_kit.axes import GLYPH, LEFT, SPAN, Axis, Floats, path, seconds, short, svg

MIN_LETTERS = 4
"""Smallest number of letters of a name that is cut off."""


@dataclass(frozen=True, slots=True)
class DecisionSeries:
    """A run's decisions as they are drawn, one entry for each volume."""

    time_s: Floats
    probabilities: Floats
    """(n, K); `nan` without a decision."""
    labels: Sequence[str]
    """Empty without a decision."""
    losses: Sequence[tuple[float, float, str]]
    """Start, end and reason of each interval without a decision."""
    late_s: Sequence[float]


def decisions(
    series: DecisionSeries, classes: Sequence[str], events: Sequence[Event], axis: Axis
) -> str:
    """Draw each class's probability over its blocks, with its decisions below."""
    row, gap, top = (46, 10, 30) if len(classes) <= 6 else (26, 7, 30)
    parts = []
    bottom = top + len(classes) * (row + gap)
    for start_s, end_s, event in _spans(events, axis.end_s):
        parts.append(_event_bar(axis, start_s, end_s, event, classes, top, bottom))
    for at, name in enumerate(classes):
        y = top + at * (row + gap)
        parts.append(
            f'<rect x="{LEFT}" y="{y}" width="{SPAN}" height="{row}" class="ground"/>'
            + "".join(
                _box(axis, start_s, end_s, y, row, "shown", event.trial_type)
                for start_s, end_s, event in _spans(events, axis.end_s)
                if event.trial_type == name
            )
            + f'<text x="{LEFT - 10}" y="{y + row / 2 + 5:.0f}" text-anchor="end">'
            f"{escape(short(name))}<title>{escape(name)}</title></text>"
            + _area(series.time_s, series.probabilities[:, at], axis, y, row)
            + _decision_bars(series, name, axis, y + row)
        )
    parts += [
        _box(axis, start_s, end_s, top, bottom - top - gap, "lost", reason)
        for start_s, end_s, reason in series.losses
    ]
    parts += [
        f'<path d="M{axis.x(t):.1f},{bottom - gap}v6" class="late"><title>late</title></path>'
        for t in series.late_s
    ]
    parts += seconds(axis, bottom + 16)
    return svg(bottom + 22, parts, "Probability of each class over the run")


def _spans(events: Sequence[Event], end_s: float) -> list[tuple[float, float, Event]]:
    """Return start and end of each event; without a duration it ends at the next event."""
    spans = []
    for at, event in enumerate(events):
        following_s = events[at + 1].onset_s if at + 1 < len(events) else end_s
        last_s = following_s if event.duration_s is None else event.onset_s + event.duration_s
        if event.onset_s < end_s and last_s > 0:
            spans.append((event.onset_s, last_s, event))
    return spans


def _event_bar(
    axis: Axis,
    start_s: float,
    end_s: float,
    event: Event,
    classes: Sequence[str],
    top: float,
    bottom: float,
) -> str:
    """Draw an event above the rows: a bar, its name, and a line at its onset."""
    known = event.trial_type in classes
    x, width = axis.x(start_s), axis.x(end_s) - axis.x(start_s)
    room = int((width + 2) / GLYPH)
    name = event.trial_type
    if known:  # its row shows the name
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
    """Draw one class's probability, with a gap at volumes without a decision."""
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
        line = path(points)
        base = y + height
        parts.append(
            f'<path d="{line}L{points[-1][0]:.1f},{base}L{points[0][0]:.1f},{base}Z" class="area"/>'
            f'<path d="{line}" class="trace stroke0"/>'
        )
        at = end
    return "".join(parts)


def _decision_bars(series: DecisionSeries, name: str, axis: Axis, y: float) -> str:
    """Draw a bar below the volumes whose label is the class."""
    bars = []
    step_s = float(np.median(np.diff(series.time_s))) if len(series.time_s) > 1 else 1.0
    for time_s, label in zip(series.time_s, series.labels, strict=True):
        if label == name:
            bars.append(f"M{axis.x(time_s - step_s / 2):.1f},{y + 2}"
                        f"H{axis.x(time_s + step_s / 2):.1f}")  # fmt: skip
    return f'<path d="{"".join(bars)}" class="decided"/>' if bars else ""
