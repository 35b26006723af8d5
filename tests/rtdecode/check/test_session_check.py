"""Checks of the session folder and the disk space."""

from dataclasses import replace
from pathlib import Path

import pytest

from rtdecode.check.findings import CheckResult
from rtdecode.check.session_check import (
    check_session,
    durable_ms,
    judge_disk,
    judge_session,
    session_bytes,
)
from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError
from rtdecode.journal import Journal
from rtdecode.journal.pack import Kind


def write_run(folder, bundle: str, *, ended: bool = False) -> None:
    """Write a session with one run."""
    with Journal(folder) as journal:
        journal.append_event(Kind.START, {"run": 1, "bundle": bundle}, 0)
        journal.begin_run(1, bundle, ("a", "b"), 2.0)
        if ended:
            journal.end_run(1)


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.09, "green"), (0.11, "yellow"), (0.49, "yellow"), (0.51, "red")]
)
def test_a_slow_disk_is_judged_against_the_repetition_time(share, verdict):
    """The 95th percentile of the log's times gives the result."""
    found = judge_session([2000 * share] * 20, 2.0, "", CheckResult.GREEN, "")
    assert found.verdict == verdict
    assert f"{share:.1%} of the repetition time" in found.found


def test_an_unfinished_run_is_yellow(context, bundle, names, tmp_path):
    """The service would continue it, and the folder is unchanged."""
    folder = context.plan.settings.session
    write_run(folder, bundle.digest)
    before = names(tmp_path)
    found = check_session(context)
    assert found.verdict is CheckResult.YELLOW
    assert "unfinished run 1 with 0 outcomes: the service continues it" in found.found
    assert "another session folder" in found.remedy
    assert names(tmp_path) == before


def test_an_unfinished_run_of_another_bundle_is_red(context):
    """The service would refuse it."""
    write_run(context.plan.settings.session, "another00000")
    found = check_session(context)
    assert found.verdict is CheckResult.RED
    assert "another00000" in found.found
    assert context.bundle.digest in found.found


def test_a_finished_run_is_green(context):
    """The service adds the next run."""
    write_run(context.plan.settings.session, "another00000", ended=True)
    found = check_session(context)
    assert found.verdict is CheckResult.GREEN
    assert "1 finished run; the next one is added" in found.found


def test_a_session_that_is_open_is_refused(context):
    """The refusal is immediate."""
    with (
        Journal(context.plan.settings.session),
        pytest.raises(ConfigError, match="in use by another service"),
    ):
        check_session(context)


def test_the_durability_test_removes_its_files(tmp_path, names):
    """Other files in the folder are unchanged."""
    (tmp_path / "other").write_text("x", encoding="utf-8")
    took_ms = durable_ms(tmp_path, 1000, SystemClock())
    assert len(took_ms) == 20
    assert min(took_ms) > 0
    assert names(tmp_path) == ["other"]


def test_a_missing_folder_is_refused(tmp_path):
    """Even root cannot write to a folder that does not exist."""
    with pytest.raises(ConfigError, match="nothing can be written to"):
        durable_ms(tmp_path / "gone", 1000, SystemClock())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a place where root may not write")
def test_a_folder_that_is_not_writable_is_refused(context):
    """The message names the folder."""
    settings = replace(context.plan.settings, session=Path("/proc/self/session"))
    context.plan = replace(context.plan, settings=settings)
    with pytest.raises(ConfigError, match="nothing can be written to /proc/self"):
        check_session(context)


@pytest.mark.parametrize(
    ("free_bytes", "verdict"),
    [(0.9e9, "red"), (1.1e9, "yellow"), (3.0e9, "yellow"), (3.2e9, "green")],
)
def test_free_space_must_exceed_the_need_with_a_reserve(free_bytes, verdict):
    """Green needs twice the estimate plus one gibibyte."""
    found = judge_disk(int(1e9), int(free_bytes), 60.0)
    assert found.verdict == verdict
    assert "60 minutes of scanning need 1.0 GB" in found.found
    assert found.figures["needed_bytes"] == 1e9


def test_needed_space_grows_with_time_matrix_and_checkpoints(bundle):
    """The estimate contains voxels, headers and outcomes of each volume."""
    ten = session_bytes(bundle, 10.0, 1000)
    voxels = 24 * 24 * 14
    assert ten - 3000 == 300 * (2 * voxels + 14 * 8192 + 8192)
    assert session_bytes(bundle, 20.0, 1000) - 3000 == 2 * (ten - 3000)
    slow = replace(bundle, manifest=replace(bundle.manifest, repetition_time_s=4.0))
    assert session_bytes(slow, 20.0, 1000) == ten
