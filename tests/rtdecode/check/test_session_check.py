"""The session's folder and the room for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from rtdecode.check.findings import CheckResult
from rtdecode.check.session_check import (
    check_session,
    durable_ms,
    judged_disk,
    judged_session,
    session_bytes,
)
from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError
from rtdecode.journal import Journal
from rtdecode.journal.pack import Kind


def unfinished(folder, bundle: str, *, ended: bool = False) -> None:
    """Make a session with one run in it."""
    with Journal(folder) as journal:
        journal.append_event(Kind.START, {"run": 1, "bundle": bundle}, 0)
        journal.begin_run(1, bundle, ("a", "b"), 2.0)
        if ended:
            journal.end_run(1)


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.09, "green"), (0.11, "yellow"), (0.49, "yellow"), (0.51, "red")]
)
def test_a_slow_disk_is_judged_against_the_repetition_time(share, verdict):
    """By the 95th percentile of what the log really does."""
    found = judged_session([2000 * share] * 20, 2.0, "", CheckResult.GREEN, "")
    assert found.verdict == verdict
    assert f"{share:.1%} of the repetition time" in found.found


def test_an_unfinished_run_is_told(subject, bundle, names, tmp_path):
    """ServiceStart goes on with it, and the folder is as it was."""
    folder = subject.plan.settings.session
    unfinished(folder, bundle.digest)
    before = names(tmp_path)
    found = check_session(subject)
    assert found.verdict is CheckResult.YELLOW
    assert "unfinished run 1 of 0 outcomes: serving goes on with it" in found.found
    assert "another session folder" in found.remedy
    assert names(tmp_path) == before


def test_an_unfinished_run_of_another_bundle_is_red(subject):
    """The service would refuse it."""
    unfinished(subject.plan.settings.session, "another00000")
    found = check_session(subject)
    assert found.verdict is CheckResult.RED
    assert "another00000" in found.found
    assert subject.bundle.digest in found.found


def test_a_finished_run_is_no_obstacle(subject):
    """The next one is added."""
    unfinished(subject.plan.settings.session, "another00000", ended=True)
    found = check_session(subject)
    assert found.verdict is CheckResult.GREEN
    assert "1 finished run, the next one is added" in found.found


def test_a_session_that_is_open_is_refused(subject):
    """It says so without waiting."""
    with (
        Journal(subject.plan.settings.session),
        pytest.raises(ConfigError, match="in use by another service"),
    ):
        check_session(subject)


def test_what_is_tried_leaves_nothing(tmp_path, names):
    """Not even in a folder that is full of other things."""
    (tmp_path / "other").write_text("x", encoding="utf-8")
    took_ms = durable_ms(tmp_path, 1000, SystemClock())
    assert len(took_ms) == 20
    assert min(took_ms) > 0
    assert names(tmp_path) == ["other"]


def test_a_place_that_is_not_there_is_refused(tmp_path):
    """Root may write anywhere, but not where nothing is."""
    with pytest.raises(ConfigError, match="nothing can be written to"):
        durable_ms(tmp_path / "gone", 1000, SystemClock())


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a place where root may not write")
def test_a_place_that_may_not_be_written_is_refused(subject):
    """With what to do about it."""
    settings = replace(subject.plan.settings, session=Path("/proc/self/session"))
    subject.plan = replace(subject.plan, settings=settings)
    with pytest.raises(ConfigError, match="nothing can be written to /proc/self"):
        check_session(subject)


@pytest.mark.parametrize(
    ("free_bytes", "verdict"),
    [(0.9e9, "red"), (1.1e9, "yellow"), (3.0e9, "yellow"), (3.2e9, "green")],
)
def test_room_is_judged_with_some_to_spare(free_bytes, verdict):
    """Twice the need, and a gibibyte for everything else."""
    found = judged_disk(int(1e9), int(free_bytes), 60.0)
    assert found.verdict == verdict
    assert "60 minutes of scanning take 1.0 GB" in found.found
    assert found.figures["needed_bytes"] == 1e9


def test_the_need_grows_with_time_matrix_and_checkpoints(bundle):
    """Voxels, headers and outcomes of each volume."""
    ten = session_bytes(bundle, 10.0, 1000)
    voxels = 24 * 24 * 14
    assert ten - 3000 == 300 * (2 * voxels + 14 * 8192 + 8192)
    assert session_bytes(bundle, 20.0, 1000) - 3000 == 2 * (ten - 3000)
    slow = replace(bundle, manifest=replace(bundle.manifest, repetition_time_s=4.0))
    assert session_bytes(slow, 20.0, 1000) == ten
