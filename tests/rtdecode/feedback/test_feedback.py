"""What is to be seen at any moment of a run."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.errors import ConfigError
from rtdecode.feedback import Assignment, Feedback, FirstVolumes, RecordedDecisions
from rtdecode.feedback.run_clock import RunClock
from rtdecode.types import Skipped, SkipReason, Stamps
from rtdecode.wire import Numbered

BEGAN_S = 100.0


def at(run_s: float) -> int:
    """Return the instant of a time of the run."""
    return int((BEGAN_S + run_s) * 1e9)


def feed(feedback: Feedback, numbered: Numbered) -> None:
    """Hand an outcome over at the moment it was published."""
    feedback.take(numbered, numbered.outcome.stamps.recorded_ns + 1_000_000)


@pytest.fixture
def feedback(settings, status) -> Feedback:
    """Return a thermometer."""
    return Feedback(settings, status, same_clock=True)


def test_the_protocol_runs_from_the_first_volumes_acquisition(feedback, decided):
    """Before it there is fixation; then blocks by their time, and fixation between them."""
    assert feedback.frame(at(3)).show == "fixation"
    assert math.isnan(feedback.run_s(at(3)))
    feed(feedback, decided(0, 0.3))
    assert feedback.run_s(at(3)) == pytest.approx(3.0)
    assert [feedback.frame(at(s)).show for s in (3, 9.9, 10)] == ["rest", "rest", "text"]
    assert feedback.frame(at(12)).text == "Think of faces"
    for index in range(1, 17):
        feed(feedback, decided(index, index / 20))
    assert [feedback.frame(at(s)).show for s in (33.9, 34, 39.9)] == ["feedback"] + 2 * ["fixation"]


def test_feedback_is_the_newest_decision(feedback, decided):
    """Its fast probability, and its place in the session."""
    for index in range(9):
        feed(feedback, decided(index, index / 10))
        frame = feedback.frame(at(2 * index + 2.2))
    assert (frame.show, frame.level, frame.sequence) == ("feedback", pytest.approx(0.8), 1008)


def test_an_old_decision_is_not_shown(feedback, decided):
    """Two repetition times after its volume came there is fixation, and with news feedback."""
    for index in range(9):
        feed(feedback, decided(index, 0.5))
    came_s = 18.0
    assert feedback.frame(at(came_s + 3.99)).show == "feedback"
    gone = feedback.frame(at(came_s + 4.0))
    assert (gone.show, gone.level, gone.stale) == ("fixation", None, True)
    gap = Skipped(9, SkipReason.NO_EVIDENCE, stamps=Stamps(at(20), recorded_ns=at(20.1)))
    feedback.take(Numbered("s", 1, 1009, gap), at(20.1))
    assert feedback.frame(at(22.5)).stale, "an outcome without a decision made an old one new"
    feed(feedback, decided(10, 0.7))
    assert feedback.frame(at(22.5)).level == pytest.approx(0.7)


def test_the_age_bound_is_a_setting_and_delay_comes_on_top(settings, status, decided):
    """A decision that is shown 3 s late is not old for that."""
    settings = replace(settings, delay_s=3.0, max_age_s=1.0)
    feedback = Feedback(settings, status, same_clock=True)
    for index in range(9):
        feed(feedback, decided(index, index / 10))
    shown = [feedback.frame(at(s)) for s in (21.0, 21.2, 21.9, 22.0)]  # published at 18.1
    assert [frame.level for frame in shown] == [None, *2 * [pytest.approx(0.8)], None]
    assert [frame.stale for frame in shown] == [True, False, False, True]


def test_a_new_run_begins_anew(settings, status, decided):
    """Its own time, baseline and values."""
    settings = replace(settings, baseline=FirstVolumes(1), range=(-1.0, 1.0))
    feedback = Feedback(settings, status, same_clock=True)
    for index in range(9):
        feed(feedback, decided(index, 0.9))
    feed(feedback, decided(0, 0.1, run=2, began_s=200))
    now_ns = int(203e9)
    assert feedback.run_s(now_ns) == pytest.approx(3.0)
    assert feedback.frame(now_ns).show == "rest"
    for index in range(1, 9):
        feed(feedback, decided(index, 0.4, run=2, began_s=200))
    frame = feedback.frame(int(218.2e9))
    assert (frame.run, frame.level) == (2, pytest.approx((0.4 - 0.1 + 1) / 2))


def test_without_a_baseline_there_is_fixation(settings, status, decided):
    """Nothing is invented for a rest that has not been yet."""
    feedback = Feedback(replace(settings, baseline="rest"), status, same_clock=True)
    for index in range(8, 10):
        feed(feedback, decided(index, 0.5))
    frame = feedback.frame(at(20.2))
    assert (frame.show, frame.stale) == ("fixation", False)


def test_words_and_pictures_show_the_class(settings, status, decided):
    """By the name that the settings give it."""
    words = replace(settings, display="text", of="", texts={"faces": "Face!"}, threshold=0.6)
    feedback = Feedback(words, status, same_clock=True)
    shown = []
    for index, faces in ((7, 0.9), (8, 0.2), (9, 0.5)):
        feed(feedback, decided(index, faces))
        frame = feedback.frame(at(2 * index + 2.2))
        shown.append((frame.text, frame.label, frame.level))
    assert shown == [("Face!", "faces", None), ("houses", "houses", None), ("–", "none", None)]


def test_window_probabilities_where_asked(settings, status, decided):
    """The fast ones otherwise."""
    feedback = Feedback(replace(settings, probabilities="window"), status, same_clock=True)
    feed(feedback, decided(8, 0.9, window=0.6))
    assert feedback.frame(at(18.2)).level == pytest.approx(0.6)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.001, 0.5)), min_size=1, max_size=30))
def test_a_clock_of_another_machine_is_set_by_the_fastest_message(delays):
    """The run's time is late by the smallest export and network delay, and never goes back."""
    clock, ahead_ns, times = RunClock(2.0, same_clock=False), 10**15, []
    for index, (export_s, network_s) in enumerate(delays):
        came_ns = at(2.0 * (index + 1) + export_s)
        stamps = Stamps(received_ns=came_ns + ahead_ns, recorded_ns=came_ns + ahead_ns)
        outcome = Skipped(index, SkipReason.NOT_READY, stamps=stamps)
        clock.take(Numbered("s", 1, index, outcome), came_ns + int(network_s * 1e9))
        times.append(clock.run_s(at(1000)))
    assert times == sorted(times)
    fastest_s = min(e for e, _ in delays)
    assert 1000 - fastest_s - 0.51 <= times[-1] <= 1000 - fastest_s + 1e-6


# Sham


def drive(settings, status, outcomes, arm, recording):
    """Return all frames of a run at 10 a second."""
    feedback = Feedback(
        settings,
        status,
        same_clock=True,
        assignment=Assignment(arm, bytes(32), "01"),
        recordings=(recording,),
    )
    frames, left = [], list(outcomes)
    for tenth in range(500):
        now_ns = at(tenth / 10)
        while left and left[0].outcome.stamps.recorded_ns <= now_ns:
            feedback.take(left.pop(0), now_ns)
        frames.append(feedback.frame(now_ns))
    return frames


@pytest.mark.parametrize("baseline", [0.0, "rest", FirstVolumes(3)])
def test_arms_differ_in_nothing_but_the_value(settings, status, decided, baseline, rng):
    """When something is shown, and what it is, is the same; and the values are not."""
    settings = replace(settings, baseline=baseline, smoothing_s=2.0, range=(-1.0, 1.0))
    own = [decided(n, float(rng.random())) for n in range(24) if n not in {4, 12, 13, 14, 15}]
    other = tuple((p, 1 - p) for p in (float(p) for p in rng.random(30)))
    recording = RecordedDecisions(("faces", "houses"), other, other, 2.0)
    frames = {arm: drive(settings, status, own, arm, recording) for arm in ("real", "yoked")}
    frames["shuffled"] = drive(settings, status, own, "shuffled", recording)
    levels = {arm: [f.level for f in shown] for arm, shown in frames.items()}
    without = [[replace(f, level=None) for f in shown] for shown in frames.values()]
    assert without[0] == without[1] == without[2]
    assert any(f.stale for f in frames["real"])
    assert any(f.show == "feedback" for f in frames["real"])
    assert levels["real"] != levels["yoked"] != levels["shuffled"] != levels["real"]


def test_yoked_shows_what_real_showed_then(settings, status, decided, rng):
    """The recorded session's own feedback, value for value."""
    settings = replace(settings, baseline="rest", smoothing_s=2.0, range=(-1.0, 1.0))
    theirs = [float(p) for p in rng.random(30)]
    series = tuple((p, 1 - p) for p in theirs)
    recording = RecordedDecisions(("faces", "houses"), series, series, 2.0)
    recorded = drive(
        settings, status, [decided(n, p) for n, p in enumerate(theirs)], "real", recording
    )
    own = [decided(n, float(rng.random())) for n in range(24)]
    shown = drive(settings, status, own, "yoked", recording)
    assert [f.level for f in shown] == [f.level for f in recorded]


def test_sham_needs_a_recording_that_fits(settings, status):
    """In every arm, so that no arm has an error of its own."""
    short = RecordedDecisions(("faces", "houses"), 20 * ((0.5, 0.5),), 20 * ((0.5, 0.5),), 2.0)
    messages = set()
    for arm in ("real", "yoked", "shuffled"):
        for recordings in (
            (),
            (replace(short, classes=("a", "b")),),
            (short,),
            (replace(short, repetition_time_s=5.0),),
        ):
            with pytest.raises(ConfigError) as refused:
                Feedback(
                    settings,
                    status,
                    same_clock=True,
                    assignment=Assignment(arm, bytes(32), "01"),
                    recordings=recordings,
                )
            messages.add(str(refused.value))
    assert len(messages) == 4
