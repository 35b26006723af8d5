"""Files, links and commands in the documentation exist."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from rtdecode.cli import build

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
RAW = "rtdecode volume 1"
"""A raw volume begins with this line, which looks like a command."""
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
            # The README's set-up ends with an rtdecode command.
            last = line.rpartition("&& ")[2].strip()
            if Path(last.partition(" ")[0]).name == "rtdecode":
                found.append(shlex.split(last, comments=True)[1:])
    return found


def parse(words: list[str]) -> None:
    """Parse a command without running it.

    Raises
    ------
    UsageError
        The command does not exist, or has other arguments.
    """
    command = build()
    context = command.make_context("rtdecode", list(words))
    while isinstance(command, TyperGroup):
        words = [*context._protected_args, *context.args]
        if not words and command.invoke_without_command:
            return  # a command with subcommands
        name, command, rest = command.resolve_command(context, words)
        context = command.make_context(name, rest, parent=context)


def command_options(words: list[str]) -> tuple[list[str], set[str]]:
    """Return the names of the command at the start of some words, and its options."""
    command, names = build(), []
    for word in words:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        command = command.commands[word]
        names.append(word)
    return names, {option for parameter in command.params for option in parameter.opts} | {"--help"}


def file_exists(name: str) -> bool:
    """Say whether a path exists, or was moved to another folder of `tools`."""
    path = ROOT / name.rstrip("/")
    if path.exists() or (ROOT / "tests" / name).exists():
        return True
    moved = [*(ROOT / "tools").rglob(path.name), *(ROOT / "tools").rglob(f"{path.name}.py")]
    return name.startswith("tools/") and bool(moved)


def object_exists(name: str) -> bool:
    """Say whether a dotted name is a module, or is an attribute of one."""
    module, _, attribute = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(module), attribute)
    return True


def heading_anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_exist(page):
    """The targets of a page's links exist, with their headings."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in heading_anchors(found), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_commands(page):
    """Each command of a page has the documented options and arguments."""
    for words in commands(page):
        try:
            parse(words)
        except UsageError as error:
            pytest.fail(f"rtdecode {shlex.join(words)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_within_text_are_commands(page):
    """A command in the text exists, and so does each option that is named with it."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for span in SPAN.findall(text):
        words = span.split()
        if words[0] != "rtdecode" or len(words) == 1 or not words[1].islower() or span == RAW:
            continue  # another name, or a placeholder
        names, options = command_options(words[1:])
        for word in words[1:]:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, span
        assert names, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_modules_and_files_exist(page):
    """Modules, Python files, tools and tests that a page names exist."""
    text = page.read_text(encoding="utf-8")
    for span in SPAN.findall(FENCE.sub("", text)):
        name = span.split()[0].partition("(")[0].rstrip(".,:")
        if re.match(r"(rtdecode|calibration|tools|tests|docs|end_to_end|faults)/[\w./-]+$", name):
            assert file_exists(name), name
        elif re.match(r"(rtdecode|calibration)(\.\w+)+$", name) and not name.endswith(".npz"):
            assert object_exists(name), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_text_wraps_at_100_columns(page):
    """Lines of text have at most 100 columns; tables and code may be longer."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    long = [line for line in text.splitlines() if len(line) > 100 and not line.startswith("|")]
    assert not long


def test_decisions_are_numbered_without_holes():
    """Files and headings count from 1; each decision is in the index and the site's navigation."""
    folder = ROOT / "docs" / "decisions"
    files = sorted(folder.glob("0*.md"))
    for number, file in enumerate(files, start=1):
        assert file.name.startswith(f"{number:04d}-")
        assert file.read_text(encoding="utf-8").startswith(f"# {number}. ")
    index = (folder / "README.md").read_text(encoding="utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f"]({file.name})" in index and file.name in navigation for file in files)


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    """`mkdocs build --strict` succeeds; no page asks another server for a script, font or style."""
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert built.returncode == 0, built.stderr
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]+src=.?https?:|<link[^>]+stylesheet[^>]+https?:"
    )
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= 40
    assert not [page for page in pages if loaded.search(page.read_text(encoding="utf-8"))]
    commands_page = (tmp_path / "commands.html").read_text(encoding="utf-8")
    assert "rtdecode serve" in commands_page
    assert "--deadline-s" in commands_page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_lists_are_lists_on_the_site(page):
    """A list has a blank line before it, and what belongs to an item is indented by four."""
    item = re.compile(r"(- |\d+\. )")
    paragraph, fenced = "", False  # the first line of the paragraph, and whether this is code
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            assert not re.match(r" {1,3}```", line), line
            fenced = not fenced
        elif not fenced and item.match(line):
            assert not paragraph or item.match(paragraph), line
        paragraph = (paragraph or line) if line.strip() else ""


def test_wrong_commands_are_found():
    """The check can fail."""
    for words in (["no-such-thing"], ["serve", "--bundle", "b"], ["monitor", "--sesion", "s"]):
        with pytest.raises(UsageError):
            parse(words)
    assert sum(len(commands(page)) for page in PAGES) >= 20
