"""What the documentation names is there, and its commands are commands."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from rtdecode.cli import build

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
UsageError = typer.BadParameter.__base__
"""Typer brings its own copy of Click, and names only this error of it."""
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """Return the words of each `rtdecode` command in a page's fenced blocks, without the first."""
    found = []
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language not in {"", "sh", "bash"}:
            continue
        for line in block.splitlines():
            # The README's set-up ends in a command of ours.
            last = line.rpartition("&& ")[2].strip()
            if Path(last.partition(" ")[0]).name == "rtdecode":
                found.append(shlex.split(last, comments=True)[1:])
    return found


def parse(words: list[str]) -> None:
    """Have the command line read a command, and not carry it out.

    Raises
    ------
    UsageError
        There is no such command, or it takes something else.
    """
    command = build()
    context = command.make_context("rtdecode", list(words))
    while isinstance(command, TyperGroup):
        words = [*context._protected_args, *context.args]
        if not words and command.invoke_without_command:
            return  # a command that has others below it
        name, command, rest = command.resolve_command(context, words)
        context = command.make_context(name, rest, parent=context)


def heading_anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_lead_somewhere(page):
    """Files and headings that a page points at are there."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in heading_anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_commands(page):
    """Each command of a page has the options and arguments that it is given there."""
    for words in commands(page):
        try:
            parse(words)
        except UsageError as error:
            pytest.fail(f"rtdecode {shlex.join(words)}: {error.format_message()}")


def test_wrong_commands_are_found():
    """The check can fail."""
    for words in (["no-such-thing"], ["serve", "--bundle", "b"], ["monitor", "--sesion", "s"]):
        with pytest.raises(UsageError):
            parse(words)
    assert sum(len(commands(page)) for page in PAGES) >= 20
