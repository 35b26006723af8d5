"""The monitor of a running service."""

import io
import json

from rich.console import Console

from rtdecode.monitor import watch


def test_it_prints_each_outcome_as_a_line_of_json(start, export, scanner):
    """A program may read the monitor's output."""
    service = start(volumes=3)
    for index in range(3):
        export(f"{index}.dcm", scanner.mosaic(index))
    console = Console(file=io.StringIO())
    watch(service.endpoints.outcomes, service.endpoints.control, console, as_json=True)
    lines = [json.loads(line) for line in console.file.getvalue().splitlines()]
    assert [line["outcome"]["index"] for line in lines] == [0, 1, 2]
    service.shut()


def test_it_shows_the_run_until_its_end(start, export, scanner):
    """The last frame holds the whole run."""
    service = start(volumes=3)
    for index in range(3):
        export(f"{index}.dcm", scanner.mosaic(index))
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    watch(service.endpoints.outcomes, service.endpoints.control, console)
    assert "3 decided" in console.file.getvalue()
    service.shut()
