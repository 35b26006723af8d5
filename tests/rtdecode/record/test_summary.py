"""Statistics of a run."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from rtdecode.journal import ServiceStart
from rtdecode.record import EventRow, summary
from rtdecode.record.event_rows import blocks
from rtdecode.types import Quality, Skipped, SkipReason


def test_consecutive_losses_for_one_reason_are_grouped(make_run):
    """Others are separate."""
    found = [(x.first, x.last, x.reason, x.volumes) for x in summary.losses(make_run())]
    assert found == [(0, 1, "not_ready", 2), (4, 4, "gap", 1)]
    assert summary.reasons(make_run()) == {"not_ready": 2, "gap": 1}


def test_blocks_are_judged_by_the_last_volume_before_their_end(make_run):
    """Blocks without a decision at their end are counted separately; unknown classes are not."""
    run = make_run()  # TR 2 s; faces at 2 and 3, a gap at 4, places from 5 to 7
    events = [
        EventRow(4.0, 4.0, "faces", "file"),  # volumes 2 and 3
        EventRow(6.0, 4.0, "places", "file"),  # 3 and 4, which is lost
        EventRow(9.0, 1.0, "rest", "file"),
        EventRow(10.0, 4.0, "places", "file"),  # 5 and 6
        EventRow(12.0, 4.0, "faces", "file"),  # 6 and 7
        EventRow(17.0, None, "faces", "file"),
    ]
    ends = summary.block_ends(run, events)
    assert (ends.right, ends.blocks, ends.undecided) == (2, 3, 1)
    assert ends.mean_probability == pytest.approx((0.75 + 0.8 + 0.2) / 3)
    assert summary.block_ends(run, events[5:]) is None
    later = summary.block_ends(run, events[3:4], lag_s=2.0)
    assert (later.right, later.blocks) == (1, 1)


def test_consecutive_stimuli_of_one_type_are_one_block():
    """As in calibration, pauses up to 3 s do not end a block, and unknown durations do."""
    events = [
        EventRow(0.0, 0.9, "face", "file"),
        EventRow(1.0, 0.9, "face", "file"),
        EventRow(4.5, 0.5, "face", "file"),
        EventRow(8.5, 0.5, "face", "file"),
        EventRow(9.0, 1.0, "house", "file"),
        EventRow(10.0, None, "house", "file"),
        EventRow(11.0, 1.0, "house", "file"),
    ]
    found = [(e.onset_s, e.duration_s, e.trial_type) for e in blocks(events)]
    assert found == [
        (0.0, 5.0, "face"),
        (8.5, 0.5, "face"),
        (9.0, 1.0, "house"),
        (10.0, None, "house"),
        (11.0, 1.0, "house"),
    ]


@pytest.mark.parametrize(("right", "of"), [(0, 5), (3, 12), (12, 12), (1, 1)])
def test_wilson_interval_equals_scipys(right, of):
    """The bounds are those of `scipy.stats.binomtest`."""
    interval = binomtest(right, of).proportion_ci(method="wilson")
    assert summary.wilson(right, of) == pytest.approx((interval.low, interval.high))


def test_artefacts_are_those_of_volumes_during_the_events(make_run, make_decision):
    """A volume that never arrived is unusable and has no displacement."""
    moved = Quality(0.9, 2.0, 50.0, 0.0, usable=False, why=("motion",))
    outcomes = [
        make_decision(0),
        make_decision(1, quality=moved),
        Skipped(2, SkipReason.GAP),
        make_decision(3),
    ]
    run = make_run(outcomes)
    one, other = summary.artefacts(
        run,
        [
            EventRow(0.0, 6.0, "a", "file"),
            EventRow(6.0, 2.0, "b", "file"),
            EventRow(50.0, 2.0, "after the run", "file"),
        ],
    )
    assert (one.trial_type, one.volumes, one.unusable) == ("a", 3, 2)
    assert (one.mean_fd_mm, one.mean_dvars_percent) == pytest.approx((0.5, 1.45))
    assert (other.trial_type, other.volumes, other.unusable) == ("b", 1, 0)
    assert summary.unusable(run) == {"motion": 1}


def test_latencies_are_of_volumes_that_arrived_live(make_run):
    """Each stage has its own latencies."""
    took_ms = summary.latencies_ms(make_run())
    assert took_ms["total"].tolist() == [8.0] * 5
    assert took_ms["decode"].tolist() == [1.0] * 5


def test_volumes_without_a_clock_are_timed_by_repetition_time(make_run, make_decision):
    """So are volumes without a decision."""
    outcomes = [make_decision(0), Skipped(1, SkipReason.GAP), make_decision(2, acquired_s=math.nan)]
    assert summary.times_s(make_run(outcomes)).tolist() == [0.0, 2.0, 4.0]


def test_service_starts_of_a_run(make_run, make_session):
    """They are the last start before its first outcome, and the starts within the run."""
    servings = [ServiceStart(at, "b", {"n": at}) for at in (0, 4, 12, 99)]
    run = make_run(first=6)  # outcomes 6 to 13
    found = summary.service_starts(make_session(run, servings=servings), run)
    assert [s.sequence for s in found] == [4, 12]
    assert np.isnan(summary.mean(np.array([math.nan])))
