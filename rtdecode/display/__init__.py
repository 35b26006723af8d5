"""The participant's display: a full-screen page in the browser, and its record."""

from rtdecode.display.block_starts import block_start, present
from rtdecode.display.display_log import (
    DISPLAYED,
    DisplayLine,
    DisplayLog,
    line_of,
    read_displayed,
)

__all__ = [
    "DISPLAYED",
    "DisplayLine",
    "DisplayLog",
    "block_start",
    "line_of",
    "present",
    "read_displayed",
]
