"""The participant's display: a full-screen page in the browser, and a record of it."""

from rtdecode.display.events import Presented, begun, present
from rtdecode.display.record import DISPLAYED, Displayed, Hidden, Line, line_of, read_displayed

__all__ = [
    "DISPLAYED",
    "Displayed",
    "Hidden",
    "Line",
    "Presented",
    "begun",
    "line_of",
    "present",
    "read_displayed",
]
