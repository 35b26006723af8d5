"""Writes the reference of the commands from the command line itself, for the documentation site."""

import re
from typing import Any

from typer.core import TyperGroup

from rtdecode.cli import build

MARKER = "<!-- the commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the reference in place of the marker; mkdocs calls this for each page."""
    return markdown.replace(MARKER, reference()) if MARKER in markdown else markdown


def reference() -> str:
    """Return a section for each command: its help, then a table of its arguments and options."""
    return "\n".join(_section(name, command, 2) for name, command in build().commands.items())


def _section(name: str, command: Any, level: int) -> str:
    text = re.sub(r"Example: (.+)", r"Example: `\1`", _plain(command.help or ""))
    lines = [f"{'#' * level} rtdecode {name}", "", text, ""]
    context = command.make_context(name, [], resilient_parsing=True)
    rows = [_row(parameter, context) for parameter in command.params]
    rows = [row for row in rows if row]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    if isinstance(command, TyperGroup):
        lines += [_section(f"{name} {n}", c, level + 1) for n, c in command.commands.items()]
    return "\n".join(lines)


def _row(parameter: Any, context: Any) -> str:
    record = parameter.get_help_record(context)
    if not record:
        return ""
    names, meaning = (text.replace("\n", " ") for text in record)
    return f"| `{names.replace('|', ' or ')}` | {_plain(meaning).replace('|', '&#124;')} |"


def _plain(text: str) -> str:
    """Return a help text without Rich's markup, and safe in Markdown."""
    text = re.sub(r"\[/?(bold|dim|italic|b|i|cyan|red|green|yellow)\]", "", text)
    text = text.replace("\b\n", "").replace("\\[", "[")
    return re.sub(r"([<>*])", r"\\\1", text) if "`" not in text else text
