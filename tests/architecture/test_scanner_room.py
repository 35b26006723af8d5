"""What the scanner-room PC may rely on."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in ("torch", "onnx", "onnxscript", "nilearn", "sklearn", "scipy", "ants", "matplotlib"):
    sys.modules[name] = None
import rtdecode
for module in pkgutil.walk_packages(rtdecode.__path__, "rtdecode."):
    if module.name != "rtdecode.__main__":
        importlib.import_module(module.name)
print("imported")
"""


def test_every_module_of_the_scanner_room_imports_without_torch():
    """The serving package starts on a machine without the requirements of calibration."""
    result = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", IMPORT_ALL],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert result.stdout.strip() == "imported", result.stderr


def test_help_answers_without_loading_torch():
    """`rtdecode --help` lists the commands of both packages and loads no torch."""
    code = (
        "import sys; from rtdecode.cli import main\n"
        "status = main(['--help'])\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "sys.exit(status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )

    assert result.returncode == 0, result.stderr
    for command in ("serve", "replay", "monitor", "calibrate", "weights", "demo"):
        assert command in result.stdout


def test_import_contracts_hold():
    """The code has the layers of pyproject.toml."""
    result = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as r; r()"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )

    assert result.returncode == 0, result.stdout


def test_the_project_names_no_path_of_a_developers_machine():
    """No shipped or tested file has a path of one machine or a registry's host."""
    listed = subprocess.run(
        ["git", "ls-files"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    telltales = ("/work" + "/main", "/opt" + "/wheels", "/opt" + "/pypi", "pypi" + ".org")
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".toml", ".md", ".txt", ".yml", ""} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{name}: {word}" for word in telltales if word in text]

    assert not found
