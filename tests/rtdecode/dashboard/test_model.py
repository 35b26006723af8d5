"""What is shown, from what is known."""

import math

import pytest

from rtdecode.dashboard.model import (
    RunPlan,
    decision_age_s,
    log_lines,
    progress,
    silent_s,
    skips,
    unused,
)
from rtdecode.dashboard.service_connection import Note
from rtdecode.dashboard.session_folder import FolderView
from rtdecode.events import Block
from rtdecode.journal import Remarks
from rtdecode.types import Quality, SkipReason, Stamps

SECOND_NS = 1_000_000_000
BLOCKS = (Block("faces", 4.0, 12.0),)


def test_a_running_clock_goes_on_between_volumes(make_view, make_decision):
    """Two volumes of 2 s were acquired, decided 0.1 s later, and half a second passed since."""
    view = make_view([make_decision(0), make_decision(1)])
    at = progress(view, RunPlan(BLOCKS, 10), 10 * SECOND_NS + SECOND_NS // 2)
    assert at.running
    assert at.run_s == pytest.approx(4.6)
    assert at.left_s == pytest.approx(15.4)
    assert at.next_s == pytest.approx(1.5)
    assert (at.volumes, at.of) == (2, 10)
    assert at.moment is not None
    assert (at.moment.now, at.moment.left_s) == ("faces", pytest.approx(7.4))


def test_a_clock_without_volumes_stops(make_view, make_decision):
    """A scanner that stopped is not taken to go on."""
    view = make_view([make_decision(1)])
    late = progress(view, RunPlan(), 100 * SECOND_NS)
    assert late.run_s == 8.0
    assert late.next_s == -88.0
    assert late.left_s == math.inf
    assert late.of == 0


def test_a_clock_runs_while_statistics_are_gathered(make_view, make_skipped, make_status):
    view = make_view([make_skipped(0)], status=make_status(state="calibrating"))
    at = progress(view, RunPlan(BLOCKS), 11 * SECOND_NS)
    assert at.running
    assert (at.run_s, at.next_s) == (3.0, 1.0)


def test_a_run_that_is_over_has_no_next_volume(make_view, make_decision, make_status):
    view = make_view([make_decision(9)], status=make_status(state="ended"))
    at = progress(view, RunPlan(BLOCKS, 10), 11 * SECOND_NS)
    assert not at.running
    assert at.left_s == 0.0
    assert math.isnan(at.next_s)
    assert at.moment is None


def test_events_tell_how_long_a_run_takes_where_nobody_else_does(make_view):
    at = progress(make_view(), RunPlan(BLOCKS), 10 * SECOND_NS)
    assert (at.of, at.left_s) == (6, 12.0)


def test_a_run_that_goes_on_after_its_events_has_no_known_end(make_view, make_decision):
    at = progress(make_view([make_decision(7)]), RunPlan(BLOCKS), 10 * SECOND_NS)
    assert (at.volumes, at.of, at.left_s) == (8, 0, math.inf)


def test_nothing_known_is_no_countdown(make_view):
    at = progress(make_view(status=None), RunPlan(BLOCKS, 10), 10 * SECOND_NS)
    assert math.isnan(at.run_s)
    assert at.left_s == math.inf


def test_a_decision_is_as_old_as_its_record(make_view, make_decision):
    stamps = Stamps(received_ns=1, recorded_ns=7 * SECOND_NS)
    view = make_view([make_decision(0, stamps=stamps)])
    assert decision_age_s(view, 11 * SECOND_NS, same_computer=True) == 4.0
    assert decision_age_s(view, 11 * SECOND_NS, same_computer=False) == 1.0


def test_a_decision_before_skipped_volumes_is_older_than_the_last_arrival(
    make_view, make_decision, make_skipped
):
    view = make_view([make_decision(0), make_skipped(1), make_skipped(2)])
    assert decision_age_s(view, 11 * SECOND_NS, same_computer=False) == 5.0


def test_without_a_decision_there_is_no_age(make_view, make_skipped):
    view = make_view([make_skipped(0)])
    assert math.isnan(decision_age_s(view, 11 * SECOND_NS, same_computer=True))


def test_silence_is_counted_from_the_last_sign_of_life(make_view):
    assert silent_s(make_view(), 12 * SECOND_NS) == 2.0


def test_skipped_and_unused_volumes_are_counted_by_reason(make_decision, make_skipped):
    moved = Quality(1.2, 3.0, 70.0, 0.0, usable=False, why=("motion",))
    outcomes = [
        make_skipped(0),
        make_skipped(1),
        make_decision(2, quality=moved),
        make_skipped(3, SkipReason.GAP),
    ]
    assert skips(outcomes) == {"not_ready": 2, "gap": 1}
    assert unused(outcomes) == {"motion": 1}


def test_the_log_joins_stretches_and_puts_marks_where_they_were_made(
    make_view, make_decision, make_skipped
):
    outcomes = [make_skipped(0, detail="gathering"), make_skipped(1), make_decision(2)]
    outcomes += [make_decision(3), make_skipped(4, SkipReason.GAP, "never came")]
    notes = (Note(1, 3, "status", "left out: object 7"),)
    # The session's 8th outcome is this run's third.
    marks = ((1, 8, "2026-01-02T03:04:05+00:00", "coughed"), (2, 9, "2026-01-02T03:04:05", "no"))
    notices = ((1, "wrong_series", "left out: object 7"), (1, "conflict", "object 2 differs"))
    view = make_view(outcomes, notes=notes, sequence=10)
    lines = log_lines(view, FolderView(remarks=Remarks(None, marks, notices)))
    assert [(line.volume, line.kind) for line in lines] == [
        (4, "skipped"),
        (3, "status"),
        (2, "mark"),
        (1, "skipped"),
        (-1, "notice"),
    ]
    assert lines[2].text.endswith("coughed")
    assert "2 volumes" in lines[3].text
    assert "gathering" in lines[3].text
    assert lines[4].text == "object 2 differs"  # the other one was told already
