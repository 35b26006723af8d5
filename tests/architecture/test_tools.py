"""Every script in tools/ starts, and every module there can be imported."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SCRIPTS = sorted(path.relative_to(TOOLS).as_posix() for path in TOOLS.rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_help(script) -> None:
    """Its imports succeed, and `--help` prints its usage."""
    is_module = "__main__" not in (TOOLS / script).read_text(encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, TOOLS / script, "--help"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert is_module or "usage" in ended.stdout.lower()
