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


def loaded(*arguments: str, ends_with: int = 0) -> set[str]:
    """Return the modules that a command has imported, and check its exit code."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    status, *modules = json.loads(ran.stderr.splitlines()[-1])
    assert status == ends_with
    return set(modules)


def test_the_version_is_printed_without_importing_a_command():
    """No command of ours or of another package is imported, and no module for drawing."""
    modules = loaded("--version")
    assert not modules & {*HEAVY, "rich", "calibration", "rtdecode.commands"}


@pytest.mark.parametrize("command", [[], *([name] for name in build().commands)])
def test_help_imports_no_heavy_module(command):
    """The help of all commands, and of each, needs their options only."""
    assert not loaded(*command, "--help") & {*HEAVY}


def test_a_command_is_imported_without_the_others():
    """Commands of other packages, which may be slow to import, do not delay ours."""
    modules = loaded("keys", "list", "--help")
    assert "rtdecode.commands.keys" in modules
    assert not modules & {"rtdecode.commands.serve", "calibration"}


SLOW = {"numba", "onnxruntime", "nibabel", "pynetdicom", "torch", "scipy"}


@pytest.mark.parametrize(
    "wrong",
    [
        ["--source", "carrier pigeon"],
        ["--source", "folder:nowhere"],
        ["--source", "recording:nowhere"],
        ["--source", "dicom://:11112?title=X"],
        ["--source", "zmq:", "--events", "nowhere.tsv"],
        ["--source", "zmq:", "--keys", "nowhere"],
    ],
)
def test_serving_is_refused_before_anything_compiles(tmp_path, wrong):
    """Errors outside the bundle are reported without numba and ONNX Runtime."""
    free = [f"--{name}=tcp://127.0.0.1:*" for name in ("outcomes", "control", "ingest")]
    (tmp_path / "manifest.json").write_text("{}", "utf-8")
    given = ["--bundle", str(tmp_path), "--session", str(tmp_path / "session")]
    assert not loaded("serve", *given, *free, *wrong, ends_with=2) & SLOW
    assert not (tmp_path / "session").exists()


def test_serving_without_a_bundle_is_refused_before_anything_compiles(tmp_path):
    """A missing bundle is reported like other errors."""
    given = ["--source", f"folder:{tmp_path}", "--bundle", "nowhere", "--session", "none"]
    assert not loaded("serve", *given, ends_with=2) & SLOW


@pytest.mark.parametrize(
    "wrong",
    [
        ["--run", "nowhere"],
        ["--run", ".", "--weights", "nothing"],
        ["--run", ".", "--classes", "nothing"],
        ["--run", ".", "--t1", "nowhere"],
        ["--run", ".", "--from", "nowhere"],
        ["--source", "carrier pigeon", "--volumes", "100"],
        ["--source", "folder:nowhere", "--volumes", "100"],
    ],
)
def test_calibration_is_refused_before_torch_is_imported(tmp_path, wrong):
    """Errors that can be found in files are reported first."""
    events = tmp_path / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\n0\t10\tface\n20\t10\thouse\n", "utf-8")
    given = ["--events", str(events), "--out", str(tmp_path / "out")]
    # Shipped weights; if `wrong` has --weights too, the last option counts.
    given += ["--weights", "deeplight-2d-4mm-sim"]
    assert not loaded("calibrate", *given, *wrong, ends_with=2) & SLOW
    assert [path.name for path in tmp_path.iterdir()] == ["events.tsv"]


def test_heavy_modules_are_found():
    """The checks above can fail: the commands themselves import these modules."""
    code = "import json, sys, rtdecode.engine, rtdecode.service; print(json.dumps([*sys.modules]))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    found = {"msgspec", "nibabel", "numba", "numpy", "onnxruntime", "rtdecode.service", "zmq"}
    assert found <= {*json.loads(ran.stdout)}
