"""Between the outcomes and the open pages: sends each new frame, and has it recorded."""

import asyncio
import math
import time
from collections.abc import Callable

import msgspec

from rtdecode.display.block_starts import BlockStart, begun
from rtdecode.display.display_log import Displayed, DisplayLine, line_of
from rtdecode.display.pages import Pages
from rtdecode.feedback import Feedback, Frame
from rtdecode.wire import Numbered, Status

TICK_S = 0.02
"""How exactly blocks begin, and feedback ends, where no outcome comes just then."""

Begin = Callable[[Status], Feedback]
Tell = Callable[[str], None]


class Presenter:
    """Shows what there is to be seen; lives in one event loop.

    Parameters
    ----------
    begin
        Returns the feedback for a service; raises `ConfigError` where settings do not fit it.
    pages
        The open pages.
    record
        Of what was shown.
    tell
        Says to the operator what goes wrong: the same in every arm.
    """

    def __init__(self, begin: Begin, pages: Pages, record: Displayed, tell: Tell) -> None:
        self.events: asyncio.Queue[BlockStart | None] = asyncio.Queue()
        """The blocks that begin; `None` when there will be no more."""
        self._begin = begin
        self._pages = pages
        self._record = record
        self._tell = tell
        self._feedback: Feedback | None = None
        self._of: tuple[str, str] | None = None
        self._frame = Frame("fixation")
        self._number = 0
        self._open: tuple[DisplayLine, Frame] | None = None
        self._lines: asyncio.Queue[tuple[DisplayLine, Frame] | None] = asyncio.Queue()
        self._recording = True

    def begin(self, status: Status) -> None:
        """Take note of a service; the same one, started again, changes nothing."""
        of = (status.session, status.bundle)
        if of != self._of:
            self._feedback, self._of = self._begin(status), of

    def take(self, numbered: Numbered) -> None:
        """Take the next outcome in, and show what it changes."""
        if self._feedback is not None:
            self._feedback.take(numbered, time.monotonic_ns())
            self._look(self._feedback)

    async def run(self) -> None:
        """Follow the clock and keep the record, until cancelled."""
        keeping = asyncio.create_task(self._keep())
        self._send(self._frame, math.nan)
        try:
            while True:
                await asyncio.sleep(TICK_S)
                if self._feedback is not None:
                    self._look(self._feedback)
        finally:
            self._close_line(None)
            self._lines.put_nowait(None)
            self.events.put_nowait(None)
            await keeping

    def painted(self, number: int, painted_unix_s: float) -> None:
        """Take note of a page that has painted a frame."""
        if number == self._number:
            self._close_line(painted_unix_s)

    def _look(self, feedback: Feedback) -> None:
        now_ns = time.monotonic_ns()
        frame = feedback.frame(now_ns)
        if frame == self._frame:
            return
        if frame.stale and not self._frame.stale:
            self._tell("no decision is recent enough: the participant sees fixation")
        elif self._frame.stale and frame.show == "feedback":
            self._tell("decisions are recent again: the participant sees feedback")
        run_s = feedback.run_s(now_ns)
        if (event := begun(frame, self._frame, run_s)) is not None:
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
        self._open = (line_of(frame, run_s), frame)

    def _close_line(self, painted_unix_s: float | None) -> None:
        """Have what was sent last recorded, once a page has painted it or it is over."""
        if self._open is not None:
            line, frame = self._open
            line = msgspec.structs.replace(line, painted_unix_s=painted_unix_s)
            self._lines.put_nowait((line, frame))
            self._open = None

    async def _keep(self) -> None:
        """Write the record beside the loop: a slow disk delays no frame."""
        while (item := await self._lines.get()) is not None:
            line, frame = item
            try:
                await asyncio.to_thread(self._record.write, line, frame)
            except OSError as error:
                if self._recording:
                    self._tell(f"what is shown can no longer be recorded: {error.strerror}")
                self._recording = False
            else:
                self._recording = True
