"""What people see of the demo: a live picture in a terminal, a few lines anywhere else."""

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
from calibration.demo.feedback_report import DemoPlan, Report, verdicts
from calibration.demo.frame import frame
from calibration.progress import Progress as Told
from calibration.progress import silent
from rtdecode.types import Outcome

WIDEST = 100
FRAMES_PER_S = 10


class Step:
    """A step in progress, with its progress and result."""

    def __init__(self, told: Told) -> None:
        self.progress = told
        self.note = ""


class Show:
    """The demo's stage.

    Parameters
    ----------
    console
        Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, WIDEST)
        self.seconds: dict[str, float] = {}
        """Wall time of each step, in their order."""

    def open(self) -> None:
        """Say what this is."""
        if self._console.is_terminal:
            self._console.print()
        self._console.print(
            Text("rtdecode demo", "bold").append(
                ": simulated people and a simulated scanner; everything else is the real thing",
                "not bold grey70",
            ),
            soft_wrap=True,
        )

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[Step]:
        """Show one step for as long as the context is open, then how long it took."""
        start_s = time.monotonic()
        with self._bar(title) as told:
            step = Step(told)
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
        ) as shown:
            last_s = 0.0

            def update(outcome: Outcome) -> None:
                nonlocal last_s
                outcomes.append(outcome)
                now_s = time.monotonic()
                if now_s - last_s >= 1 / FRAMES_PER_S or len(outcomes) == plan.volumes:
                    shown.update(frame(plan, outcomes, self._width), refresh=True)
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
        """Print a line when a block has been judged."""
        before = len(verdicts(plan, outcomes))
        outcomes.append(outcome)
        judged = verdicts(plan, outcomes)
        if len(judged) > before:
            last = judged[-1]
            decided = f"{last.decided} ({last.probability:.0%})" if last.decided else "nothing"
            right = sum(verdict.right for verdict in judged)
            self._print(
                f"  block {len(judged):2d} of {len(plan.blocks)}: {last.truth:<10} decided "
                f"{decided:<17} {'right' if last.right else 'wrong'}; {right} of {len(judged)} "
                "so far"
            )

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    @contextmanager
    def _bar(self, title: str) -> Iterator[Told]:
        if not self._console.is_terminal:
            yield silent
            return
        columns = (
            TextColumn("  {task.fields[title]:<44}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("[grey58]{task.description}"),
        )
        with Progress(*columns, console=self._console, transient=True) as shown:
            task = shown.add_task("", total=None, title=title)

            def told(part: str, done: int, total: int) -> None:
                shown.update(task, description=part, completed=done, total=total)

            yield told


def picture(
    content: RenderableType, path: Path, width: int = WIDEST, title: str = "rtdecode demo"
) -> None:
    """Write something shown, such as a frame, as an SVG picture."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(content)
    console.save_svg(str(path), title=title)
