"""What the reports of a session and of a calibration are made of: page, tables, charts, numbers."""

from rtdecode.report_kit.numbers import count, percent, shown
from rtdecode.report_kit.page import (
    colour,
    dots,
    facts,
    grid,
    items,
    page,
    section,
    tiles,
    verdict,
)

__all__ = [
    "colour",
    "count",
    "dots",
    "facts",
    "grid",
    "items",
    "page",
    "percent",
    "section",
    "shown",
    "tiles",
    "verdict",
]
