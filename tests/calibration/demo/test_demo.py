"""The whole demo, tiny."""

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from calibration.demo import DemoSettings, run
from calibration.demo.scan import ScanSettings
from calibration.pretraining.recordings import CHEAP
from calibration.simulation import RunDesign
from rtdecode.errors import ConfigError


def _design(blocks: int, series_number: int) -> RunDesign:
    return RunDesign(
        blocks_per_state=blocks,
        block_s=10.0,
        rest_s=6.0,
        protocol=CHEAP,
        series_number=series_number,
    )


def test_the_whole_demo(tmp_path: Path):
    """Every volume of the feedback run has one outcome, and the report says what it was worth."""
    settings = DemoSettings(
        seed=1,
        speed="max",
        keep=tmp_path / "kept",
        scans=ScanSettings(_design(2, 5), _design(1, 7)),
    )
    console = Console(file=io.StringIO(), width=100)
    report = run(settings, console)
    assert report.feedback.received == 24 + 4 * 16
    assert report.feedback.decided + sum(report.feedback.skipped.values()) == 24 + 4 * 16
    assert report.feedback.score.blocks == 4
    assert report.feedback.total.p50_ms > 0
    assert report.registration_overlap > 0.8
    assert json.loads(msgspec.json.encode(report))["simulated"] is True
    assert (tmp_path / "kept" / "decoder" / "manifest.json").is_file()
    assert len(list((tmp_path / "kept" / "feedback" / "export").iterdir())) == 24 + 4 * 16
    assert "4 of 4" in console.file.getvalue()


def test_wrong_settings_are_refused_together(tmp_path: Path):
    """Nothing is computed for a folder in use, a negative speed or a negative seed."""
    (tmp_path / "mine").touch()
    settings = DemoSettings(keep=tmp_path, speed=-1.0, seed=-1)
    with pytest.raises(ConfigError) as caught:
        run(settings, Console(file=io.StringIO()))
    assert len(caught.value.problems) == 3
    assert (tmp_path / "mine").is_file()
