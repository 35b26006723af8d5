"""What a command that does no work must not wait for."""

import json
import subprocess
import sys

import pytest

from rtdecode.cli import build

HEAVY = (
    "ants",
    "calibration.networks",
    "imagecodecs",
    "matplotlib",
    "msgspec",
    "nibabel",
    "nicegui",
    "nilearn",
    "numba",
    "numpy",
    "onnx",
    "onnxruntime",
    "pydicom",
    "pynetdicom",
    "rtdecode.service",
    "scipy",
    "sklearn",
    "torch",
    "zmq",
)
LOADED = """
import json, sys
from rtdecode.cli import main
status = main(sys.argv[1:])
print(json.dumps([status, *sys.modules]), file=sys.stderr)
"""


def loaded(*arguments: str) -> set[str]:
    """Return the modules that a command which ends with 0 has imported."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    status, *modules = json.loads(ran.stderr.splitlines()[-1])
    assert status == 0
    return set(modules)


def test_the_version_is_told_without_any_command():
    """No command of ours or of another package is imported, and nothing that draws."""
    modules = loaded("--version")
    assert not modules & {*HEAVY, "rich", "calibration", "rtdecode.commands"}


@pytest.mark.parametrize("command", [[], *([name] for name in build().commands)])
def test_help_is_told_without_what_does_the_work(command):
    """The help of all commands, and of each, needs their options only."""
    assert not loaded(*command, "--help") & {*HEAVY}


def test_a_command_is_imported_without_the_others():
    """Those of other packages, which may be slow to import, do not slow ours down."""
    modules = loaded("keys", "list", "--help")
    assert "rtdecode.commands.keys" in modules
    assert not modules & {"rtdecode.commands.serve", "calibration"}


def test_heavy_modules_are_found():
    """The checks above can fail: what they look for is imported by who does the work."""
    code = (
        "import json, sys, rtdecode.pipeline, rtdecode.service; print(json.dumps([*sys.modules]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    found = {"msgspec", "nibabel", "numba", "numpy", "onnxruntime", "rtdecode.service", "zmq"}
    assert found <= {*json.loads(ran.stdout)}
