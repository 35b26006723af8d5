"""The charts of a calibration: accuracies, confusion, probabilities along a run, learning."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from rtdecode.metrics import Compared
from rtdecode.report_kit import colour
from rtdecode.report_kit.axes import LEFT, SPAN, WIDTH, Axis, seconds, short, svg


def accuracies(compared: Sequence[Compared], chosen: Sequence[str], chance: float) -> str:
    """Draw each decoder's accuracy of blocks and of volumes with its interval, and chance.

    Parameters
    ----------
    compared
        The decoder itself first, then candidates and baselines.
    chosen
        The candidates that it is made of.
    chance
        One in so many classes.
    """
    longest = max((len(one.name) for one in compared), default=0)
    left, right, row, top = max(300, 130 + 8 * longest), 112, 30, 34
    span = WIDTH - left - right
    height = top + row * len(compared) + 30
    parts = [
        _axis(left, span, top - 6, top + row * len(compared)),
        _chance(left, span, top, height, chance),
    ]
    for n, one in enumerate(compared):
        y = top + row * n + row / 2
        strong = ' class="strong"' if n == 0 else ""
        kind = f"{one.kind}, chosen" if one.name in chosen else one.kind
        parts.append(
            f'<text x="{left - 14}" y="{y + 4:.1f}" text-anchor="end"{strong}>{escape(one.name)}'
            f'</text><text x="14" y="{y + 4:.1f}" class="quiet">{escape(kind)}</text>'
        )
        figures = (
            (one.accuracy.block, one.accuracy.interval_95_block, -5, "block"),
            (one.accuracy.volume, one.accuracy.interval_95_volume, 5, "volume"),
        )
        for value, (low, high), shift, grain in figures:
            x, x0, x1 = (left + span * v for v in (value, low, high))
            parts.append(
                f'<line x1="{x0:.1f}" x2="{x1:.1f}" y1="{y + shift:.1f}" y2="{y + shift:.1f}" '
                f'class="whisker {grain}"/><circle cx="{x:.1f}" cy="{y + shift:.1f}" r="4.5" '
                f'class="dot {grain}"><title>{grain}s {value:.0%} ({low:.0%} to {high:.0%})'
                "</title></circle>"
            )
        parts.append(
            f'<text x="{WIDTH - 8}" y="{y + 4:.1f}" text-anchor="end"{strong}>'
            f"{one.accuracy.block:.0%} · {one.accuracy.volume:.0%}</text>"
        )
    return svg(height, parts, "Accuracy of blocks and volumes for each decoder")


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Draw what blocks were (rows) and what they were decided as (columns)."""
    cell, left, top = 54, 150, 96
    parts = [f'<text x="{left}" y="16" class="quiet">decided as</text>']
    for n, name in enumerate(classes):
        middle = left + cell * n + cell / 2
        parts.append(
            f'<text transform="translate({middle + 4:.0f},{top - 8}) rotate(-45)">'
            f"{escape(short(name))}</text>"
            f'<text x="{left - 10}" y="{top + cell * n + cell / 2 + 4:.0f}" text-anchor="end">'
            f"{escape(short(name))}</text>"
        )
        most = max(1, sum(matrix[n]))
        for m in range(len(classes)):
            share = 0.08 + 0.92 * matrix[n][m] / most
            kind = "hit" if n == m else "miss"
            parts.append(
                f'<rect x="{left + cell * m}" y="{top + cell * n}" width="{cell - 3}" '
                f'height="{cell - 3}" rx="4" class="{kind}" style="--share:{share:.2f}'
                f'"/><text x="{left + cell * m + cell / 2 - 1:.0f}" '
                f'y="{top + cell * n + cell / 2 + 4:.0f}" text-anchor="middle" class="count">'
                f"{matrix[n][m]}</text>"
            )
    width = left + cell * len(classes) + 40
    return svg(top + cell * len(classes) + 6, parts, "Confusion of blocks", width)


def traces(
    probabilities: NDArray[np.float64],
    time_s: NDArray[np.float64],
    classes: Sequence[str],
    shown: Sequence[tuple[int, float, float]],
) -> str:
    """Draw each class's held-out probability over a run, its blocks behind.

    Parameters
    ----------
    probabilities
        (n, K) of the decision window.
    time_s
        (n,)
    classes
        K names.
    shown
        (class, from, to) of each block, seconds, the lag included.
    """
    row, gap = 44, 8
    axis = Axis(float(time_s[-1]) + 1)
    parts = []
    for n, name in enumerate(classes):
        y = n * (row + gap) + 6
        parts.append(
            f'<text x="{LEFT - 10}" y="{y + row / 2 + 4:.0f}" text-anchor="end">'
            f'{escape(short(name))}</text><rect x="{LEFT}" y="{y}" width="{SPAN}" '
            f'height="{row}" class="ground"/>'
        )
        for block_class, start_s, stop_s in shown:
            if block_class == n:
                x, width = axis.x(start_s), axis.x(stop_s) - axis.x(start_s)
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{row}" '
                    f'style="fill:{colour(n)}" class="behind"/>'
                )
        points = " ".join(
            f"{axis.x(t):.1f},{y + row * (1 - p):.1f}"
            for t, p in zip(time_s, probabilities[:, n], strict=True)
        )
        parts.append(f'<polyline points="{points}" style="stroke:{colour(n)}" class="trace"/>')
    bottom = len(classes) * (row + gap) + 14
    parts += seconds(axis, bottom)
    return svg(bottom + 10, parts, "Held-out probabilities over the run")


def learning(curve: Sequence[tuple[int, float, float]], chance: float) -> str:
    """Draw held-out accuracy of volumes against the blocks of each class trained on."""
    left, span, height = 60, 360, 200
    most = max(count for count, _, _ in curve)

    def x(count: float) -> float:
        return left + span * count / most

    def y(value: float) -> float:
        return 14 + 150 * (1 - value)

    parts = [
        f'<text x="{left - 8}" y="{y(v) + 4:.0f}" text-anchor="end" class="quiet">{v:.0%}</text>'
        f'<line x1="{left}" x2="{left + span}" y1="{y(v):.1f}" y2="{y(v):.1f}" class="grid"/>'
        for v in (0.0, 0.5, 1.0)
    ]
    parts.append(
        f'<line x1="{left}" x2="{left + span}" y1="{y(chance):.1f}" y2="{y(chance):.1f}" '
        'class="chance"/>'
    )
    points = " ".join(f"{x(c):.1f},{y(v):.1f}" for c, v, _ in curve)
    parts.append(f'<polyline points="{points}" style="stroke:{colour(0)}" class="trace"/>')
    for count, value, error in curve:
        parts.append(
            f'<line x1="{x(count):.1f}" x2="{x(count):.1f}" y1="{y(value - error):.1f}" '
            f'y2="{y(value + error):.1f}" class="whisker block"/><circle cx="{x(count):.1f}" '
            f'cy="{y(value):.1f}" r="4" class="dot block"/><text x="{x(count):.1f}" '
            f'y="182" text-anchor="middle" class="quiet">{count}</text>'
        )
    parts.append(f'<text x="{left}" y="{height - 2}" class="quiet">blocks of each class trained on'
                 "</text>")  # fmt: skip
    return svg(height, parts, "Learning curve", left + span + 20)


def _axis(left: float, span: float, top: float, bottom: float) -> str:
    ticks = ""
    for percent in range(0, 101, 25):
        x = left + span * percent / 100
        ticks += (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" class="grid"/>'
            f'<text x="{x:.1f}" y="{top - 8}" text-anchor="middle" class="quiet">{percent} %</text>'
        )
    return ticks


def _chance(left: float, span: float, top: float, height: float, chance: float) -> str:
    x = left + span * chance
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{height - 24}" class="chance"/>'
        f'<text x="{x + 5:.1f}" y="{height - 12}" class="quiet">chance {chance:.0%}</text>'
    )
