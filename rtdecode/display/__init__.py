"""The participant's display: a full-screen page in the browser, and a record of it."""

from rtdecode.display.record import DISPLAYED, Displayed, Hidden, Line, line_of, read_displayed

__all__ = ["DISPLAYED", "Displayed", "Hidden", "Line", "line_of", "read_displayed"]
