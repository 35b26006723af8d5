"""A stream of probabilities and what is shown of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.feedback import FeedbackSettings, FirstVolumes, Protocol, Signal

CLASSES = ("faces", "houses", "tools")
PLAIN = FeedbackSettings(display="thermometer", of="faces", protocol=Protocol((), {}))

shares = st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)
probabilities = shares.map(lambda parts: tuple(p / math.fsum(parts) for p in parts))
streams = st.lists(probabilities, min_size=1, max_size=40)


def levels(settings, stream, rest=()):
    signal = Signal(settings, CLASSES)
    return [
        signal.step(values, 2.0 * place, at_rest=place in rest).level
        for place, values in enumerate(stream)
    ]


@given(streams)
def test_a_plain_level_is_the_class_probability(stream):
    """Nothing is done that was not asked for."""
    assert levels(PLAIN, stream) == pytest.approx([values[0] for values in stream])


@given(
    streams,
    st.floats(0, 30),
    st.floats(-1, 1),
    st.sampled_from((1, -1)),
    st.tuples(st.floats(-2, 0), st.floats(0.1, 2)),
    st.dictionaries(st.sampled_from(CLASSES), st.floats(-3, 3), min_size=1),
)
def test_a_level_is_within_empty_and_full(stream, smoothing_s, baseline, sign, limits, of):
    """Whatever the settings."""
    settings = replace(
        PLAIN, of=of, smoothing_s=smoothing_s, baseline=baseline, sign=sign, range=limits
    )
    assert all(0.0 <= level <= 1.0 for level in levels(settings, stream))


@given(streams, st.floats(0.1, 30))
def test_smoothing_is_the_exponential_filter(stream, smoothing_s):
    """As its textbook formula has it, from the first value on; and so within what came."""
    share = 1 - math.exp(-2.0 / smoothing_s)
    expected = [stream[0][0]]
    for values in stream[1:]:
        expected.append(expected[-1] + share * (values[0] - expected[-1]))
    smoothed = levels(replace(PLAIN, smoothing_s=smoothing_s), stream)
    assert smoothed == pytest.approx(expected)
    came = [values[0] for values in stream]
    assert min(came) - 1e-9 <= min(smoothed) <= max(smoothed) <= max(came) + 1e-9


@given(streams, st.integers(1, 40))
def test_what_comes_later_changes_nothing_earlier(stream, cut):
    """Every setting is causal."""
    settings = replace(PLAIN, smoothing_s=5.0, baseline="rest", range=(-1.0, 1.0))
    rest = {0, 3, 4, 20}
    assert levels(settings, stream[:cut], rest) == levels(settings, stream, rest)[:cut]


def test_smoothing_knows_how_much_time_has_passed():
    """After a gap of two volumes the filter has gone as far as with two steps of the same value."""
    settings = replace(PLAIN, smoothing_s=3.0)
    one, two = Signal(settings, CLASSES), Signal(settings, CLASSES)
    for signal in (one, two):
        signal.step((0.1, 0.9, 0.0), 0.0, at_rest=False)
    one.step((0.8, 0.2, 0.0), 2.0, at_rest=False)
    after_steps = one.step((0.8, 0.2, 0.0), 4.0, at_rest=False)
    assert two.step((0.8, 0.2, 0.0), 4.0, at_rest=False).level == pytest.approx(after_steps.level)


@given(streams, st.sets(st.integers(0, 39)))
def test_the_rest_baseline_is_the_mean_of_rest_so_far(stream, rest):
    """And before there was any rest, there is no level."""
    got = levels(replace(PLAIN, baseline="rest", range=(-1.0, 1.0)), stream, rest)
    for place, level in enumerate(got):
        at_rest = [values[0] for at, values in enumerate(stream[: place + 1]) if at in rest]
        if at_rest:
            assert level == pytest.approx((stream[place][0] - np.mean(at_rest) + 1) / 2)
        else:
            assert level is None


def test_the_baseline_of_the_first_volumes_stays():
    """It is there with the last of them, and does not change afterwards."""
    stream = [(p, 1 - p, 0.0) for p in (0.2, 0.4, 0.9, 0.3)]
    settings = replace(PLAIN, baseline=FirstVolumes(2), range=(-1.0, 1.0))
    assert levels(settings, stream) == [None, *(pytest.approx(v) for v in (0.55, 0.8, 0.5))]


def test_a_contrast_its_sign_and_its_range():
    """Faces less houses, turned round, from -1 to 0.5."""
    settings = replace(PLAIN, of={"faces": 1.0, "houses": -1.0}, sign=-1, range=(-1.0, 0.5))
    assert levels(settings, [(0.5, 0.3, 0.2)]) == [pytest.approx((-0.2 + 1) / 1.5)]


def test_the_label_needs_the_threshold():
    """Below it no class is shown."""
    signal = Signal(replace(PLAIN, threshold=0.6), CLASSES)
    shown = [signal.step(p, 0.0, at_rest=False).label for p in ((0.1, 0.7, 0.2), (0.5, 0.3, 0.2))]
    assert shown == ["houses", "none"]
