"""Draws numbers as text: bars, sparklines, a heat map of probabilities."""

import math
from collections.abc import Sequence

from rich.text import Text

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"


def bar(fraction: float, width: int, style: str) -> Text:
    """Return a bar that fills `fraction` of `width` cells, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    full, rest = divmod(eighths, 8)
    filled = "█" * full + (_EIGHTHS[rest] if rest else "")
    text = Text(filled, style)
    text.append("·" * (width - len(filled)), "grey27")
    return text


def sparkline(
    values: Sequence[float], width: int, top: float, styles: Sequence[tuple[float, str]]
) -> Text:
    """Return the last `width` values as one line of columns.

    Parameters
    ----------
    values
        Oldest first; `nan` leaves a gap.
    width
        Number of cells.
    top
        Value of a full column.
    styles
        Lower bounds in ascending order, each with the style of the values above it.
    """
    text = Text()
    newest = values[-width:]
    for value in newest:
        if math.isnan(value):
            text.append(" ")
            continue
        level = min(len(_LEVELS) - 1, int(max(0.0, value) / top * len(_LEVELS)))
        style = [s for bound, s in styles if value >= bound][-1]
        text.append(_LEVELS[level], style)
    text.append(" " * (width - len(newest)))
    return text


def shade(probability: float, colour_hex: str) -> str:
    """Return a style with the colour as background; its intensity is the probability."""
    # The square root brightens the middle, where decisions among many classes are.
    strength = math.sqrt(max(0.0, min(1.0, probability)))
    red, green, blue = (int(colour_hex[i : i + 2], 16) for i in (1, 3, 5))
    low = 24
    mixed = [round(low + (channel - low) * strength) for channel in (red, green, blue)]
    return "on #{:02x}{:02x}{:02x}".format(*mixed)
