"""The participant's display: a full-screen page in the browser, and its record."""

from rtdecode.display.block_starts import BlockStart, block_start, present
from rtdecode.display.display_log import (
    DISPLAYED,
    DisplayLine,
    DisplayLog,
    Hidden,
    line_of,
    read_displayed,
)

__all__ = [
    "DISPLAYED",
    "BlockStart",
    "DisplayLine",
    "DisplayLog",
    "Hidden",
    "block_start",
    "line_of",
    "present",
    "read_displayed",
]
