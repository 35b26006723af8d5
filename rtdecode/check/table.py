"""The findings as one table."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rtdecode.check.findings import CheckResult, Finding
from rtdecode.report_kit import count

_SIGNS = {
    CheckResult.GREEN: ("●  ok", "green"),
    CheckResult.YELLOW: ("▲  but", "yellow"),
    CheckResult.RED: ("✖  no", "bold red"),
    CheckResult.GREY: ("–", "bright_black"),
}
"""A shape and a word for each colour, for readers who cannot distinguish colours."""
MAX_WIDTH = 110
"""Maximum width in characters; longer lines are hard to read."""


def render(findings: Sequence[Finding], width: int) -> RenderableType:
    """Return the table and the overall verdict.

    Parameters
    ----------
    findings
        The rows of the table.
    width
        Maximum width in characters.
    """
    table = Table(
        box=box.HORIZONTALS,
        border_style="bright_black",
        show_header=False,
        padding=(0, 1, 0, 0),
        width=min(width, MAX_WIDTH),
        pad_edge=False,
        show_lines=True,
    )
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for finding in findings:
        sign, style = _SIGNS[finding.verdict]
        detail = Text(finding.found)
        if finding.remedy:
            detail.append(
                f"\n→ {finding.remedy}", "bold" if finding.verdict is CheckResult.RED else ""
            )
        name_style = style if finding.verdict is CheckResult.RED else "bold"
        table.add_row(Text(sign, style), Text(finding.name, name_style), detail)
    return Group(table, _summary(findings))


def _summary(findings: Sequence[Finding]) -> Text:
    counts = Counter(finding.verdict for finding in findings)
    if counts[CheckResult.RED]:
        return Text(f" ✖  not ready: {counts[CheckResult.RED]} red", "bold red")
    line = Text(" ●  ready", "bold green")
    if counts[CheckResult.YELLOW]:
        line.append(f", with {count(counts[CheckResult.YELLOW], 'warning')}", "yellow")
    if counts[CheckResult.GREY]:
        line.append(f" ({counts[CheckResult.GREY]} not tried)", "bright_black")
    return line
