#!/usr/bin/env python3
"""Show neurofeedback in a PsychoPy window: an example to start your own stimulus program from.

  python psychopy_feedback.py --session SESSION --settings feedback.toml

It shows what `rtdecode display` shows, with the same settings (docs/display.md), and writes the
same record. Without PsychoPy, or with --terminal, it prints what the screen would show.
Escape ends it.

`show_feedback` is the loop of a stimulus program. Your stimuli, responses and triggers belong into
it. To change what the participant sees, change `PsychoPyScreen.draw`. Read docs/stimulus.md first:
it says how old feedback may be, what rest and `none` mean, and how to give sham feedback.
"""

import argparse
import importlib.util
import math
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Protocol

from rtdecode.client import Control, Outcomes, session_endpoints
from rtdecode.display import DisplayLog, block_start, line_of, present
from rtdecode.errors import RtdecodeError
from rtdecode.feedback import (
    Assignment,
    Feedback,
    FeedbackSettings,
    Frame,
    read_assignment,
    read_recordings,
    read_settings,
)

REFRESH_S = 1 / 60
"""Duration of a frame in the terminal; a window waits for the screen instead."""
HEIGHT = 0.75
"""Height of the thermometer and of the largest disc, as a fraction of the screen's height."""
BAR_CHARACTERS = 30
WHITE, GREY, ORANGE = "#c8c8c8", "#8a8a8a", "#e8a33d"


def main() -> int:
    """Show feedback until the run ends, and return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--session", type=Path, required=True, help="the session's folder")
    parser.add_argument(
        "--settings", type=Path, required=True, help="the settings of rtdecode display"
    )
    parser.add_argument("--code", help="the participant's code in the randomisation table")
    parser.add_argument("--recorded", type=Path, help="the recorded session for sham feedback")
    parser.add_argument(
        "--terminal", action="store_true", help="print, even if PsychoPy is installed"
    )
    options = parser.parse_args()
    try:
        settings = read_settings(options.settings)
        blinded = settings.sham is not None
        if {options.code is not None, options.recorded is not None} != {blinded}:
            parser.error("give --code and --recorded if the settings have `sham`, and only then")
        arm = None if settings.sham is None else read_assignment(settings.sham, options.code)
        recordings = () if arm is None else read_recordings(options.recorded)
        with Control(session_endpoints(options.session)["control"]) as service:
            status = service.status()
        feedback = Feedback(
            settings, status, same_clock=True, assignment=arm, recordings=recordings
        )
        with closing(open_screen(settings, terminal=options.terminal)) as screen:
            show_feedback(options.session, feedback, screen, arm)
    except RtdecodeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


class Screen(Protocol):
    """What the participant looks at."""

    def draw(self, frame: Frame, run_s: float) -> bool:
        """Show a frame until the next refresh.

        Parameters
        ----------
        frame
            What to show.
        run_s
            Time since the run's first volume, seconds; NaN before it.

        Returns
        -------
        Whether the program continues; False after Escape.
        """
        ...

    def close(self) -> None:
        """Close the window."""
        ...


def show_feedback(
    session: Path, feedback: Feedback, screen: Screen, arm: Assignment | None
) -> None:
    """Draw a frame at each refresh of the screen, until the run ends or Escape is pressed.

    Parameters
    ----------
    session
        The session's folder.
    feedback
        Turns the decoder's outcomes into frames.
    screen
        Draws the frames.
    arm
        The participant's arm in a study with sham feedback, else `None`.
    """
    last: Frame | None = None
    reports: list[Future[None]] = []
    proceed = True
    with (
        Outcomes.of_session(session) as outcomes,
        DisplayLog(session, arm) as record,
        ThreadPoolExecutor(1) as reporter,
    ):
        while proceed and not outcomes.ended:
            # 1. Take all outcomes that have arrived. Never wait for one: a volume may be missing.
            while (numbered := outcomes.poll()) is not None:
                feedback.take(numbered, time.monotonic_ns())

            # 2. Draw what is to be shown now. Drawing waits for the screen's refresh.
            now_ns = time.monotonic_ns()
            frame, run_s = feedback.frame(now_ns), feedback.run_s(now_ns)
            proceed = screen.draw(frame, run_s)

            # 3. If a block begins with this frame, report it to the service, for the run's events.
            #    The report waits for an answer, so it must not be sent in the thread that draws.
            event = block_start(frame, last, run_s)
            if event is not None:
                reports.append(reporter.submit(present, event, session))

            # 4. Record each change of the screen, with the time at which it became visible.
            if frame != last:
                record.write(line_of(frame, run_s, painted_unix_s=time.time()), frame)
                last = frame
        for report in reports:
            report.result()  # raises the error of a report that failed


def open_screen(settings: FeedbackSettings, *, terminal: bool) -> Screen:
    """Return a PsychoPy window, or the terminal where there is no PsychoPy."""
    if terminal or importlib.util.find_spec("psychopy") is None:
        return TerminalScreen()
    return PsychoPyScreen(settings)


class TerminalScreen:
    """Prints a line when the frame changes."""

    def __init__(self) -> None:
        self._last: Frame | None = None

    def draw(self, frame: Frame, run_s: float) -> bool:
        """Print a frame if it is new, and wait as long as a screen would."""
        if frame != self._last:
            time_text = "  waiting" if math.isnan(run_s) else f"{run_s:7.1f} s"
            level_text = ""
            if frame.level is not None:
                level_text = f"{frame.level:.4f} {'#' * round(BAR_CHARACTERS * frame.level)}"
            words = frame.text or frame.label
            print(
                f"{time_text}  {frame.sequence:4d}  {frame.show}  {level_text}{words}", flush=True
            )
            self._last = frame
        time.sleep(REFRESH_S)
        return True

    def close(self) -> None:
        """Do nothing: there is no window."""


class PsychoPyScreen:
    """A full-screen window that shows a thermometer, a disc, words or images."""

    def __init__(self, settings: FeedbackSettings) -> None:
        from psychopy import event, visual

        self._event = event
        self._window = visual.Window(fullscr=True, color="black", units="height", screen=0)
        self._window.mouseVisible = False
        self._display = settings.display
        low, high = settings.range
        self._zero_level = -low / (high - low) if low < 0 < high else 0.0
        zero_y = HEIGHT * (self._zero_level - 0.5)
        outline = {"fillColor": None, "lineColor": GREY, "lineWidth": 6}
        filled = {"fillColor": ORANGE, "lineColor": None}
        self._words = visual.TextStim(self._window, height=0.09, wrapWidth=1.2, color=WHITE)
        self._cross = visual.ShapeStim(
            self._window, vertices="cross", size=0.07, fillColor=WHITE, lineColor=None
        )
        self._tube = visual.Rect(self._window, 0.16, HEIGHT, **outline)
        self._fill = visual.Rect(self._window, 0.15, 0.0, **filled)
        self._zero_line = visual.Line(
            self._window, (-0.11, zero_y), (0.11, zero_y), lineColor=WHITE, lineWidth=6
        )
        self._rim = visual.Circle(self._window, HEIGHT / 2, edges=128, **outline)
        self._disc = visual.Circle(self._window, HEIGHT / 2, edges=128, **filled)
        self._images = {
            label: visual.ImageStim(self._window, str(path))
            for label, path in settings.images.items()
        }

    def draw(self, frame: Frame, run_s: float) -> bool:  # noqa: ARG002 - of the protocol
        """Show a frame at the screen's next refresh, and wait for it."""
        if frame.show in {"rest", "text"} or (frame.show == "feedback" and frame.text):
            self._words.text = frame.text
            self._words.draw()
        elif frame.level is not None and self._display == "thermometer":
            self._draw_thermometer(frame.level)
        elif frame.level is not None:
            self._draw_disc(frame.level)
        elif frame.show == "feedback" and frame.label in self._images:
            self._images[frame.label].draw()
        else:  # fixation, or feedback that is too old to be shown
            self._cross.draw()
        self._window.flip()
        return not self._event.getKeys(["escape"])

    def _draw_thermometer(self, level: float) -> None:
        """Fill the tube from the zero line to the level; both are 0 (bottom) to 1 (top)."""
        self._fill.height = HEIGHT * abs(level - self._zero_level)
        self._fill.pos = (0.0, HEIGHT * ((level + self._zero_level) / 2 - 0.5))
        self._fill.draw()
        self._tube.draw()
        if self._zero_level:
            self._zero_line.draw()

    def _draw_disc(self, level: float) -> None:
        """Draw a disc whose area is proportional to the level."""
        self._disc.size = math.sqrt(level)
        self._disc.draw()
        self._rim.draw()

    def close(self) -> None:
        """Close the window."""
        self._window.close()


if __name__ == "__main__":
    sys.exit(main())
