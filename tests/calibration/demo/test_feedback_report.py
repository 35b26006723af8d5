"""What the feedback run was worth."""

from dataclasses import replace

import pytest

from calibration.demo import feedback_report
from rtdecode.types import STAGES, Skipped, SkipReason


def test_a_block_is_expected_a_lag_later(plan):
    """A block of 6 s from 4 s on shows in the volumes from 6 s on."""
    assert plan.block_volumes(plan.blocks[0]) == range(6, 12)


def test_a_block_that_outlasts_the_run_ends_with_it(plan):
    """No volume beyond the run's last is asked for."""
    short = replace(plan, volumes=38)
    assert short.block_volumes(short.blocks[3]) == range(36, 38)


def test_a_block_is_judged_at_its_last_volume(plan, outcomes, decide):
    """What was decided before does not matter, and a block that is not over has no verdict."""
    outcomes[11] = decide(11, "places")
    assert [v.right for v in feedback_report.block_results(plan, outcomes[:22])] == [False, False]
    assert len(feedback_report.block_results(plan, outcomes[:21])) == 1


def test_a_block_without_a_decision_at_its_end_is_wrong(plan, outcomes):
    """A gap is no excuse."""
    outcomes[11] = Skipped(11, SkipReason.GAP)
    assert feedback_report.block_results(plan, outcomes)[0] == feedback_report.BlockResult(
        "faces", "", 0.0
    )
    assert feedback_report.score(plan, outcomes).blocks_right == 1


def test_score_counts_blocks_and_volumes(plan, outcomes):
    """Always saying faces gets half of two states, which is chance."""
    found = feedback_report.score(plan, outcomes)
    assert (found.blocks, found.blocks_right, found.volumes) == (4, 2, 24)
    assert found.block_accuracy == found.volume_accuracy == found.chance == 0.5
    low, high = found.interval_95_block
    assert 0.1 < low < 0.2
    assert low + high == pytest.approx(1.0)  # Wilson's interval of one half is symmetric


def test_feedback_tells_why_volumes_were_skipped(plan, outcomes):
    """Reasons are counted, and received volumes are decided or skipped."""
    found = feedback_report.feedback(plan, outcomes)
    assert (found.received, found.decided, found.skipped) == (44, 42, {"not_ready": 2})


def test_latency_is_between_stamps(plan, outcomes):
    """Each stage lasts from the stamp before it; together they make the whole."""
    found = feedback_report.feedback(plan, outcomes)
    assert found.total == feedback_report.StageLatency(21.0, 21.0, 21.0)
    assert list(found.stages) == [name for name in STAGES if name != "total"]
    assert found.stages["parse"].p50_ms == pytest.approx(3.0)
    assert sum(each.p50_ms for each in found.stages.values()) == pytest.approx(21.0)
