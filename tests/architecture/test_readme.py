"""The commands and examples of the README run."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def command(marker: str) -> str:
    """Return the one command below a marker in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.search(rf"<!-- {marker} -->\n```\n(.*?)\n```", text, re.DOTALL)
    assert lines, f"README.md has no command marked {marker!r}"
    return lines.group(1)


@pytest.mark.parametrize("marker", ["the demo command", "the test command"])
def test_each_command_is_a_single_line_with_the_set_up(marker):
    """Both commands make an environment, install into it and run, in one line."""
    line = command(marker)

    assert "\n" not in line
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install")


@pytest.mark.skipif(shutil.which("bash") is None, reason="continuous integration runs bash")
def test_continuous_integration_runs_the_readmes_test_command():
    """`.ci/run` reads the command from the README, and has no copy of it."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    (line,) = [line for line in script.splitlines() if line.startswith("test_command=")]
    found = subprocess.run(
        ["bash", "-c", f'{line}; printf "%s" "$test_command"'],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert found.stdout == command("the test command")
    assert "pytest" not in script


def test_python_examples_in_the_readme_parse_and_import():
    """Each Python example parses, and its imports from rtdecode exist."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(example)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = __import__(node.module, fromlist=["_"])
                assert all(hasattr(module, alias.name) for alias in node.names)


def test_pictures_that_the_readme_shows_are_there():
    """No picture is missing."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)

    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)
