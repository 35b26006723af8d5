"""The table of findings."""

import io

import pytest
from rich.console import Console

from rtdecode.check.findings import CheckResult, Finding
from rtdecode.check.table import render

FINDINGS = [
    Finding("session folder", CheckResult.GREEN, "word " * 40),
    Finding("source", CheckResult.YELLOW, "found something", "mend this"),
    Finding("clock", CheckResult.RED, "a problem\nand another", "do that"),
    Finding("stimulus link", CheckResult.GREY, "not tried [bold]at all[/bold]"),
]


def shown(findings, width: int) -> list[str]:
    """Return the lines of a table in a terminal of `width` columns."""
    console = Console(width=width, file=io.StringIO())
    console.print(render(findings, width), highlight=False)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits_the_terminal_and_contains_everything(width):
    """Verdicts also have words, and remedies follow the results."""
    lines = shown(FINDINGS, width)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= min(width, 110)
    for word in ("ok", "but", "no", "→ mend this", "→ do that", "and another", "[bold]"):
        assert word in text
    assert "not ready: 1 red" in lines[-1]


def test_the_last_line_is_the_overall_verdict():
    """It counts the rows that an operator should read."""
    assert shown(FINDINGS[:1], 80)[-1].strip() == "●  ready"
    others = [f for f in FINDINGS if f.verdict is not CheckResult.RED]
    assert shown(others, 80)[-1].strip() == "●  ready, with 1 warning (1 not tried)"
