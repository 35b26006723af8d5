from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.simulation.design import RunDesign, schedule, states_at, write_events
from calibration.simulation.epi_protocol import EpiProtocol
from rtdecode.errors import ConfigError
from rtdecode.events import Event

STATES = ("left_hand", "right_hand", "faces", "places")


@given(st.integers(0, 2**32), st.integers(1, 6), st.floats(1, 20), st.floats(0, 20))
def test_blocks_are_balanced_and_never_overlap(seed, rounds, block_s, rest_s):
    """Every round holds each state once, after the lead-in, with rest after each block."""
    design = RunDesign(rounds, block_s, rest_s, lead_in_s=20.0)
    events = schedule(design, STATES, np.random.default_rng(seed))
    assert set(Counter(e.trial_type for e in events).values()) == {rounds}
    for first in range(0, len(events), 4):
        assert {e.trial_type for e in events[first : first + 4]} == set(STATES)
    onsets = np.array([e.onset_s for e in events])
    assert onsets[0] == 20.0
    np.testing.assert_allclose(np.diff(onsets), block_s + rest_s)
    assert onsets[-1] + block_s + rest_s == pytest.approx(design.duration_s(len(STATES)))


def test_jitter_varies_the_rests_and_not_the_run():
    """Events lie 6 to 12 s apart, and every draw makes a run of the same length."""
    design = RunDesign(3, block_s=2.0, rest_s=6.0, jitter_s=6.0)
    for seed in range(3):
        events = schedule(design, STATES, np.random.default_rng(seed))
        rests = np.diff([e.onset_s for e in events]) - 2.0
        assert rests.min() >= 6.0
        assert rests.max() <= 12.0
        assert np.ptp(rests) > 4.0
        assert events[-1].onset_s + 8.0 <= design.duration_s(4) == 24.0 + 12 * 11.0


def test_order_is_random():
    """Two runs come in different orders."""
    orders = {
        tuple(e.trial_type for e in schedule(RunDesign(), STATES, np.random.default_rng(seed)))
        for seed in range(5)
    }
    assert len(orders) == 5


def test_default_run_lasts_about_six_minutes():
    """The default run of four states has 344 volumes at 1 s, and fewer at a longer TR."""
    assert RunDesign().volumes(4) == 344
    assert RunDesign(protocol=EpiProtocol(repetition_time_s=1.5)).volumes(4) == 230


def test_truth_has_no_lag():
    """A volume's state is that of the block it lies in, from the onset to before the end."""
    events = [Event(1.0, 2.0, "faces"), Event(4.0, 1.0, "places")]
    truth = states_at(events, np.array([0.5, 1.0, 2.9, 3.0, 4.5, 5.0]))
    assert truth == ("", "faces", "faces", "", "places", "")


def test_events_are_bids(tmp_path):
    """The table is tab-separated with BIDS's three columns in seconds."""
    path = write_events([Event(24.0, 12.0, "faces")], tmp_path / "events.tsv")
    assert path.read_text(encoding="utf-8") == (
        "onset\tduration\ttrial_type\n24.000\t12.000\tfaces\n"
    )


def test_impossible_design_is_refused():
    """All problems of a design are named at once."""
    with pytest.raises(ConfigError) as refused:
        RunDesign(0, 0.0, -1.0, -1.0, 0, jitter_s=-1.0)
    assert len(refused.value.problems) == 6
