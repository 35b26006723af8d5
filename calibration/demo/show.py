"""The demo's output: a live picture in a terminal, a few lines elsewhere."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from calibration.demo.closing_lines import NEXT, facts, panel, warning
from calibration.demo.feedback_report import DemoPlan, Report, block_results
from calibration.demo.frame import frame
from calibration.progress import Progress as OnProgress
from calibration.progress import silent
from rtdecode.types import Outcome

WIDEST = 100
FRAMES_PER_S = 10


class Step:
    """A step in progress, with its progress and result."""

    def __init__(self, progress: OnProgress) -> None:
        self.progress = progress
        self.note = ""


class Show:
    """The demo's output on a console.

    Parameters
    ----------
    console
        The console.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, WIDEST)
        self.seconds: dict[str, float] = {}
        """Wall time of each step, in order."""

    def open(self) -> None:
        """Print the title."""
        if self._console.is_terminal:
            self._console.print()
        self._console.print(
            Text("rtdecode demo", "bold").append(
                ": the people and the scanner are simulated; all other parts are real",
                "not bold grey70",
            ),
            soft_wrap=True,
        )

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[Step]:
        """Show a step while the context is open, then its duration."""
        start_s = time.monotonic()
        with self._bar(title) as progress:
            step = Step(progress)
            yield step
        self.seconds[name] = time.monotonic() - start_s
        done = Text("✓ ", "green").append(f"{title:<44}", "not bold default")
        done.append(f"{self.seconds[name]:5.1f} s", "grey70")
        if step.note:
            done.append(f"  {step.note}", "grey58")
        self._console.print(done, soft_wrap=not self._console.is_terminal)

    @contextmanager
    def live(self, plan: DemoPlan) -> Iterator[Callable[[Outcome], None]]:
        """Show decisions next to the true states while outcomes arrive."""
        outcomes: list[Outcome] = []
        if not self._console.is_terminal:
            yield lambda outcome: self._line(plan, outcomes, outcome)
            return
        with Live(
            frame(plan, outcomes, self._width), console=self._console, auto_refresh=False
        ) as display:
            last_s = 0.0

            def update(outcome: Outcome) -> None:
                nonlocal last_s
                outcomes.append(outcome)
                now_s = time.monotonic()
                if now_s - last_s >= 1 / FRAMES_PER_S or len(outcomes) == plan.volumes:
                    display.update(frame(plan, outcomes, self._width), refresh=True)
                    last_s = now_s

            yield update

    def close(self, report: Report) -> None:
        """Show the results."""
        if self._console.is_terminal:
            self._console.print(panel(report, self._width))
            return
        for name, text in facts(report):
            self._print(f"{name}: {text}")
        if report.folder:
            self._print(f"files: {report.folder}")
        self._print(warning())
        for command, purpose in NEXT:
            self._print(f"next: {command}  ({purpose})")

    def _line(self, plan: DemoPlan, outcomes: list[Outcome], outcome: Outcome) -> None:
        """Print a line at the end of each block."""
        before = len(block_results(plan, outcomes))
        outcomes.append(outcome)
        results = block_results(plan, outcomes)
        if len(results) > before:
            last = results[-1]
            decided = f"{last.decided} ({last.probability:.0%})" if last.decided else "nothing"
            right = sum(result.right for result in results)
            self._print(
                f"  block {len(results):2d} of {len(plan.blocks)}: {last.truth:<10} decided "
                f"{decided:<17} {'right' if last.right else 'wrong'}; {right} of {len(results)} "
                "so far"
            )

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    @contextmanager
    def _bar(self, title: str) -> Iterator[OnProgress]:
        if not self._console.is_terminal:
            yield silent
            return
        columns = (
            TextColumn("  {task.fields[title]:<44}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("[grey58]{task.description}"),
        )
        with Progress(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task("", total=None, title=title)

            def report(part: str, done: int, total: int) -> None:
                bars.update(task, description=part, completed=done, total=total)

            yield report


def picture(
    content: RenderableType, path: Path, width: int = WIDEST, title: str = "rtdecode demo"
) -> None:
    """Write console output, such as a frame, as an SVG picture."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(content)
    console.save_svg(str(path), title=title)
