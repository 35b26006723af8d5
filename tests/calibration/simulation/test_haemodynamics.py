import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.simulation.haemodynamics import (
    Haemodynamics,
    HaemodynamicSettings,
    block_responses,
    draw_haemodynamics,
)
from calibration.simulation.seeds import stream
from rtdecode.events import Event


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_response_peaks_where_it_says(seed):
    """The response rises to its peak, dips below zero, and sums to 1."""
    own = draw_haemodynamics(HaemodynamicSettings(), stream("test", seed))
    times_s = np.arange(0.0, 40.0, 0.05)
    response = own.response(times_s)
    assert times_s[response.argmax()] == pytest.approx(own.peak_s, abs=0.3)
    assert response.sum() * 0.05 == pytest.approx(1.0, abs=0.01)
    assert response[0] == 0
    assert response[times_s > own.peak_s + 5].min() < 0


def test_blocks_rise_to_their_amplitude():
    """A long block reaches its own amplitude; nothing happens before it or in other states."""
    times_s = np.arange(100) + 0.5
    events = [Event(20.0, 60.0, "faces")]
    responses = block_responses(
        events, ("faces", "places"), np.array([1.4]), Haemodynamics(5.5, 15.5, 0.15), times_s
    )
    assert responses.shape == (100, 2)
    assert np.all(responses[:, 1] == 0)
    assert np.all(responses[times_s < 20, 0] == 0)
    assert responses[75, 0] == pytest.approx(1.4, abs=0.01)
    assert responses[22, 0] < 0.2 < responses[26, 0]
