"""All checks run, whatever the other results."""

from dataclasses import replace

import pytest

from rtdecode.check import CheckResult, ready, run_all_checks
from rtdecode.clock import SystemClock

NAMES = [
    "bundle",
    "provider",
    "speed",
    "geometry",
    "source",
    "session folder",
    "disk",
    "keys",
    "ports",
    "stimulus link",
    "clock",
]


def test_a_ready_session_has_all_rows_and_no_files_remain(plan, rows, names, tmp_path):
    """Each row has its verdict, in order; no folder, file, lock or socket remains."""
    before = names(tmp_path)
    found = rows(plan)
    assert list(found) == NAMES
    assert ready(found.values())
    assert found["provider"].found == "cpu, as requested, 1 thread"
    assert found["speed"].figures["volumes"] >= 10
    assert found["source"].figures["files"] == 0
    assert found["session folder"].figures["durable_p95_ms"] > 0
    assert found["stimulus link"].verdict is CheckResult.GREY
    assert names(tmp_path) == before


def test_all_problems_are_reported_together(plan, rows, names, tmp_path):
    """A red row does not stop the other checks."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    settings = replace(
        plan.settings,
        source=f"folder:{tmp_path / 'nowhere'}",
        session=tmp_path / "file" / "session",
        outcomes="tcp://0.0.0.0:*",
        keys=tmp_path / "no keys",
    )
    before = names(tmp_path)
    found = rows(replace(plan, settings=settings, bundle=tmp_path / "no bundle"))
    assert list(found) == NAMES
    assert not ready(found.values())
    red = {name for name, finding in found.items() if finding.verdict is CheckResult.RED}
    assert red == {"bundle", "source", "session folder", "keys"}
    assert all(found[name].remedy for name in red)
    assert "create it" in found["source"].remedy
    assert "not tried" in found["provider"].found
    assert names(tmp_path) == before


class Broken(SystemClock):
    """A clock that raises an unexpected error after a while."""

    calls = 0

    def monotonic_ns(self) -> int:
        """Return the time twice, then fail."""
        self.calls += 1
        if self.calls > 2:
            raise ZeroDivisionError("sub-01/name of a file")
        return super().monotonic_ns()


def test_an_unexpected_error_is_a_red_row(plan):
    """The other checks still run."""
    findings = run_all_checks(plan, lambda _: None, lambda _: None, Broken())
    found = {finding.name: finding for finding in findings}
    assert list(found) == NAMES
    assert found["speed"].verdict is CheckResult.RED
    assert "internal error: ZeroDivisionError" in found["speed"].found
    assert found["keys"].verdict is found["ports"].verdict is CheckResult.GREEN


@pytest.mark.parametrize("name", ["decoder.onnx", "reference.nii.gz"])
def test_an_altered_file_of_the_bundle_is_named(plan, rows, bundle_folder, name):
    """The error is the service's."""
    (bundle_folder / name).write_bytes(b"x")
    found = rows(replace(plan, bundle=bundle_folder))["bundle"]
    assert found.verdict is CheckResult.RED
    assert found.found == f"{bundle_folder / name}: altered since calibration"
    assert found.remedy == "copy it again"


def test_a_bundle_without_metrics_is_yellow(plan, rows):
    """The tiny bundle was fitted to no person."""
    found = rows(plan)["bundle"]
    assert found.verdict is CheckResult.YELLOW
    assert "calibrate" in found.remedy
