"""The participant's display: a full-screen page in the browser, and a record of it."""

from rtdecode.display.block_starts import BlockStart, begun, present
from rtdecode.display.display_log import (
    DISPLAYED,
    Displayed,
    DisplayLine,
    Hidden,
    line_of,
    read_displayed,
)

__all__ = [
    "DISPLAYED",
    "BlockStart",
    "DisplayLine",
    "Displayed",
    "Hidden",
    "begun",
    "line_of",
    "present",
    "read_displayed",
]
