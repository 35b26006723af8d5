"""Sends each new frame to the open pages and records it."""

import asyncio
import math
import time
from collections.abc import Callable

import msgspec

from rtdecode.display.block_starts import BlockStart, block_start
from rtdecode.display.display_log import DisplayLine, DisplayLog, line_of
from rtdecode.display.pages import Pages
from rtdecode.feedback import Feedback, Frame
from rtdecode.wire import Numbered, Status

TICK_S = 0.02
"""Precision of the start of blocks and the end of feedback between outcomes, seconds."""

Begin = Callable[[Status], Feedback]
Notify = Callable[[str], None]


class Presenter:
    """Shows the frames of the feedback; belongs to one event loop.

    Parameters
    ----------
    begin
        Returns the feedback for a service; raises `ConfigError` if the settings do not fit.
    pages
        The open pages.
    record
        The record of the display.
    notify
        Shows a problem to the operator, with the same text in every arm.
    """

    def __init__(self, begin: Begin, pages: Pages, record: DisplayLog, notify: Notify) -> None:
        self.events: asyncio.Queue[BlockStart | None] = asyncio.Queue()
        """The starts of blocks; `None` after the last one."""
        self._begin = begin
        self._pages = pages
        self._record = record
        self._notify = notify
        self._feedback: Feedback | None = None
        self._service: tuple[str, str] | None = None
        self._frame = Frame("fixation")
        self._number = 0
        self._unrecorded: tuple[DisplayLine, Frame] | None = None
        self._lines: asyncio.Queue[tuple[DisplayLine, Frame] | None] = asyncio.Queue()
        self._recording = True

    def begin(self, status: Status) -> None:
        """Prepare for a service; a restart of the same one changes nothing."""
        service = (status.session, status.bundle)
        if service != self._service:
            self._feedback, self._service = self._begin(status), service

    def take(self, numbered: Numbered) -> None:
        """Add the next outcome and show what it changes."""
        if self._feedback is not None:
            self._feedback.take(numbered, time.monotonic_ns())
            self._update(self._feedback)

    async def run(self) -> None:
        """Update the frame by the clock and write the record, until cancelled."""
        writing = asyncio.create_task(self._write_lines())
        self._send(self._frame, math.nan)
        try:
            while True:
                await asyncio.sleep(TICK_S)
                if self._feedback is not None:
                    self._update(self._feedback)
        finally:
            self._close_line(None)
            self._lines.put_nowait(None)
            self.events.put_nowait(None)
            await writing

    def painted(self, number: int, painted_unix_s: float) -> None:
        """Record that a page has painted a frame."""
        if number == self._number:
            self._close_line(painted_unix_s)

    def _update(self, feedback: Feedback) -> None:
        now_ns = time.monotonic_ns()
        frame = feedback.frame(now_ns)
        if frame == self._frame:
            return
        if frame.stale and not self._frame.stale:
            self._notify("no recent decision: the participant sees fixation")
        elif self._frame.stale and frame.show == "feedback":
            self._notify("decisions are recent again: the participant sees feedback")
        run_s = feedback.run_s(now_ns)
        if (event := block_start(frame, self._frame, run_s)) is not None:
            self.events.put_nowait(event)
        self._send(frame, run_s)

    def _send(self, frame: Frame, run_s: float) -> None:
        self._close_line(None)
        self._frame = frame
        self._number += 1
        good_ms = (frame.good_until_ns - time.monotonic_ns()) / 1e6 if frame.good_until_ns else None
        message = {
            "id": self._number,
            "show": frame.show,
            "text": frame.text,
            "level": frame.level,
            "label": frame.label,
            "sequence": frame.sequence,
            "good_for_ms": good_ms,
        }
        self._pages.show(msgspec.json.encode(message).decode())
        self._unrecorded = (line_of(frame, run_s), frame)

    def _close_line(self, painted_unix_s: float | None) -> None:
        """Record the last frame when a page has painted it or another frame replaces it."""
        if self._unrecorded is not None:
            line, frame = self._unrecorded
            line = msgspec.structs.replace(line, painted_unix_s=painted_unix_s)
            self._lines.put_nowait((line, frame))
            self._unrecorded = None

    async def _write_lines(self) -> None:
        """Write the record in a thread, so that a slow disk does not delay frames."""
        while (item := await self._lines.get()) is not None:
            line, frame = item
            try:
                await asyncio.to_thread(self._record.write, line, frame)
            except OSError as error:
                if self._recording:
                    self._notify(f"the display can no longer be recorded: {error.strerror}")
                self._recording = False
            else:
                self._recording = True
