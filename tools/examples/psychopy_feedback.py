#!/usr/bin/env python3
"""The participant's display as a PsychoPy program: an example to start your own from.

Usage: .venv/bin/python tools/examples/psychopy_feedback.py --session SESSION --settings feedback.toml

It shows what `rtdecode display` shows, by the same settings (docs/display.md), and keeps the same
record. Without PsychoPy, or with --terminal, it prints what would be on the screen.
"""

import argparse
import importlib.util
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rtdecode.client import Control, Outcomes, session_endpoints
from rtdecode.display import Displayed, begun, line_of, present
from rtdecode.errors import RtdecodeError
from rtdecode.feedback import (
    Feedback,
    FeedbackSettings,
    Frame,
    assigned,
    read_recordings,
    read_settings,
)

FRAME_S = 1 / 60
HEIGHT = 0.75
"""Of the thermometer and the disc, of the screen's."""


class Terminal:
    """Prints a line where something changes."""

    def __init__(self, _settings: FeedbackSettings) -> None:
        self._last: Frame | None = None

    def draw(self, frame: Frame, run_s: float) -> bool:
        """Show a frame; return whether the participant's program is to go on."""
        if frame != self._last:
            at = "  waiting" if math.isnan(run_s) else f"{run_s:7.1f} s"
            bar = (
                "" if frame.level is None else f"{frame.level:.4f} {'█' * round(30 * frame.level)}"
            )
            print(f"{at}  {frame.sequence:4d}  {frame.show}  {bar}{frame.text or frame.label}")
            sys.stdout.flush()
            self._last = frame
        time.sleep(FRAME_S)
        return True

    def close(self) -> None:
        """Nothing is open."""


class PsychoPy:
    """A full-screen window; escape ends the program."""

    def __init__(self, settings: FeedbackSettings) -> None:
        from psychopy import event, visual

        self._event = event
        self._window = visual.Window(fullscr=True, color="black", units="height", screen=0)
        self._window.mouseVisible = False
        low, high = settings.range
        self._zero = -low / (high - low) if low < 0 < high else 0.0
        self._display = settings.display
        self._words = visual.TextStim(self._window, height=0.09, wrapWidth=1.2, color="#c8c8c8")
        self._cross = visual.ShapeStim(
            self._window, vertices="cross", size=0.07, fillColor="#c8c8c8", lineColor=None
        )
        self._tube = visual.Rect(
            self._window, 0.16, HEIGHT, fillColor=None, lineColor="#8a8a8a", lineWidth=6
        )
        place = HEIGHT * (self._zero - 0.5)
        self._line = visual.Line(
            self._window, (-0.11, place), (0.11, place), lineColor="#c8c8c8", lineWidth=6
        )
        self._fill = visual.Rect(self._window, 0.15, 0.0, fillColor="#e8a33d", lineColor=None)
        self._rim = visual.Circle(
            self._window, HEIGHT / 2, edges=128, fillColor=None, lineColor="#8a8a8a", lineWidth=6
        )
        self._ball = visual.Circle(
            self._window, HEIGHT / 2, edges=128, fillColor="#e8a33d", lineColor=None
        )
        self._images = {
            label: visual.ImageStim(self._window, str(path))
            for label, path in settings.images.items()
        }

    def draw(self, frame: Frame, _run_s: float) -> bool:
        """Show a frame with the screen's next refresh, for which this waits."""
        if frame.show in {"rest", "text"} or (frame.show == "feedback" and frame.text):
            self._words.text = frame.text
            self._words.draw()
        elif frame.level is not None and self._display == "thermometer":
            self._fill.height = HEIGHT * abs(frame.level - self._zero)
            middle = (frame.level + self._zero) / 2
            self._fill.pos = (0.0, HEIGHT * (middle - 0.5))
            self._fill.draw()
            self._tube.draw()
            if self._zero:
                self._line.draw()
        elif frame.level is not None:
            self._ball.size = math.sqrt(frame.level)  # by area, as the page
            self._ball.draw()
            self._rim.draw()
        elif frame.show == "feedback" and frame.label in self._images:
            self._images[frame.label].draw()
        else:
            self._cross.draw()
        self._window.flip()
        return not self._event.getKeys(["escape"])

    def close(self) -> None:
        """Close the window."""
        self._window.close()


def main() -> int:
    """Show feedback until the run has ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--session", type=Path, required=True, help="the session's folder")
    parser.add_argument("--settings", type=Path, required=True, help="as for rtdecode display")
    parser.add_argument("--code", help="the participant's, of the randomisation table")
    parser.add_argument("--recorded", type=Path, help="the recorded session for sham")
    parser.add_argument("--terminal", action="store_true", help="also where there is PsychoPy")
    given = parser.parse_args()
    try:
        settings = read_settings(given.settings)
        blinded = settings.sham is not None
        if {given.code is not None, given.recorded is not None} != {blinded}:
            parser.error("--code and --recorded go with the `sham` of the settings")
        show(given, settings)
    except RtdecodeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def show(given: argparse.Namespace, settings: FeedbackSettings) -> None:
    """Draw a frame for each refresh of the screen; this is the loop of a stimulus program."""
    arm = None if settings.sham is None else assigned(settings.sham, given.code)
    recordings = () if arm is None else read_recordings(given.recorded)
    control = session_endpoints(given.session)["control"]
    with Control(control) as service:
        feedback = Feedback(
            settings, service.status(), same_clock=True, assigned=arm, recordings=recordings
        )
    psychopy = importlib.util.find_spec("psychopy") is not None and not given.terminal
    screen = PsychoPy(settings) if psychopy else Terminal(settings)
    last: Frame | None = None
    try:
        with (
            Outcomes.of_session(given.session) as outcomes,
            Displayed(given.session, arm) as record,
            ThreadPoolExecutor(1) as beside,
        ):
            going, told = True, []
            while going and not outcomes.ended:
                while (numbered := outcomes.poll()) is not None:
                    feedback.take(numbered, time.monotonic_ns())
                now_ns = time.monotonic_ns()
                frame, run_s = feedback.frame(now_ns), feedback.run_s(now_ns)
                going = screen.draw(frame, run_s)
                if (event := begun(frame, last, run_s)) is not None:
                    # Telling the service waits for its answer, which drawing must not.
                    told.append(beside.submit(present, event, given.session))
                if frame != last:
                    # The frame is on the screen: drawing it has waited for the refresh.
                    record.write(line_of(frame, run_s, painted_unix_s=time.time()), frame)
                    last = frame
            for event in told:
                event.result()
    finally:
        screen.close()


if __name__ == "__main__":
    sys.exit(main())
