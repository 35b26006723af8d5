"""Progress of long work, shown in the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, the amount done and the total amount."""


def silent(_step: str, _done: int, _total: int) -> None:
    """Show nothing."""


@contextmanager
def bars(console: Console) -> Iterator[Progress]:
    """Show each step as a progress bar while the context is open."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=36),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console) as shown:
        tasks: dict[str, object] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = shown.add_task(step, total=total)
            shown.update(tasks[step], completed=done, total=total)  # type: ignore[arg-type]  # rich's TaskID is an int

        yield report
