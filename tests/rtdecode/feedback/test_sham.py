"""Sham feedback: what it keeps of a recorded session, and what it breaks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.feedback import RecordedDecisions, shuffle, yoked_recording
from rtdecode.feedback.sham import SHUFFLED_VOLUMES


def recording(volumes: int) -> RecordedDecisions:
    fast = tuple((n / volumes, 1 - n / volumes) for n in range(volumes))
    return RecordedDecisions(("faces", "houses"), fast, fast[::-1], 2.0)


@given(st.integers(1, 400), st.lists(st.integers(0, 255), min_size=1, max_size=40))
def test_shuffled_keeps_every_decision_and_most_steps(volumes, seed):
    """Distribution and short-range course stay; fast and window probabilities stay together."""
    original = recording(volumes)
    other = shuffle(original, seed)
    assert sorted(zip(other.fast, other.window, strict=True)) == sorted(
        zip(original.fast, original.window, strict=True)
    )
    place = {values: at for at, values in enumerate(original.fast)}
    order = np.array([place[values] for values in other.fast])
    kept = np.count_nonzero((np.diff(order) - 1) % volumes == 0) if volumes > 1 else 0
    pieces = -(-volumes // SHUFFLED_VOLUMES)
    assert kept >= volumes - 1 - pieces
    assert other == shuffle(original, seed)


@given(st.integers(SHUFFLED_VOLUMES + 1, 400), st.integers(0, 10**6))
def test_in_shuffled_nothing_stays_in_its_place(volumes, seed):
    """What the participant did then is not what is shown then."""
    original = recording(volumes)
    other = shuffle(original, [seed])
    assert not any(one == two for one, two in zip(original.fast, other.fast, strict=True))


def test_yoked_takes_the_same_run_and_begins_again_after_the_last():
    """A longer session than the recorded one still has feedback."""
    runs = (recording(3), recording(5))
    assert [yoked_recording(runs, n) for n in (1, 2, 3)] == [runs[0], runs[1], runs[0]]
    assert [runs[0].probabilities(n, "fast")[0] for n in range(4)] == pytest.approx(
        [0, 1 / 3, 2 / 3, 0]
    )
