"""The developers' tools start: none imports a name that is gone."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.mark.parametrize(
    "tool",
    [
        "benchmark",
        "compare_noise",
        "compare_normalisers",
        "dashboard_latency",
        "display_latency",
        "fuzz_dicom",
        "plot_session",
        "psychopy_feedback",
        "pretrain_simulated",
        "soak",
        "split_half",
        "transfer_curve",
    ],
)
def test_a_tool_explains_itself(tool) -> None:
    """Its modules are imported, and it says how it is used."""
    found = subprocess.run(
        [sys.executable, TOOLS / tool, "--help"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert "usage" in found.stdout.lower()
