"""The participant's display: a full-screen page in the browser, and a record of it."""

from rtdecode.display.record import DISPLAYED, Displayed, Hidden, Line, read_displayed

__all__ = ["DISPLAYED", "Displayed", "Hidden", "Line", "read_displayed"]
