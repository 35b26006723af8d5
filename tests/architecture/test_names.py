"""One name stands for one thing in the whole product."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED_MODULE_NAMES = {
    "__init__",  # packages
    "__main__",
    "cli",  # the commands of a package, by custom
    "public",  # what a package exports lazily
}
COMMANDS = ROOT / "rtdecode" / "commands"
"""Its modules have the names of the commands, which may also name what they start."""


def modules() -> list[Path]:
    """Return every module of the product."""
    return [
        path for package in ("rtdecode", "calibration") for path in (ROOT / package).rglob("*.py")
    ]


def doubles(named: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    """Return the names that occur in several places, with the places."""
    places: dict[str, list[str]] = defaultdict(list)
    for name, path in named:
        places[name].append(path.relative_to(ROOT).as_posix())
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_module_name_stands_for_two_things():
    """A module's name identifies one module."""
    named = ((path.stem, path) for path in modules() if path.parent != COMMANDS)
    found = doubles((name, path) for name, path in named if name not in SHARED_MODULE_NAMES)
    assert found == {}


def test_no_public_class_name_is_defined_twice():
    """A class has one name, and a name has one class."""
    named = (
        (node.name, path)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert doubles(named) == {}


def test_doubles_are_found():
    """The check can fail."""
    places = [("Event", ROOT / "a.py"), ("Block", ROOT / "b.py"), ("Event", ROOT / "c.py")]
    assert doubles(iter(places)) == {"Event": ["a.py", "c.py"]}
