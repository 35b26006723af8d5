"""States drawn from a shared dictionary of regions."""

import numpy as np
import pytest

from calibration.simulation.dictionary import MAX_REGIONS, MIN_REGIONS, REGIONS, draw_states
from rtdecode.errors import ConfigError


def test_states_share_regions_and_differ() -> None:
    """Each is a handful of known places, on one side or both, and no two are alike."""
    known = {(abs(x), y, z) for _, (x, y, z), _ in REGIONS}
    states = draw_states(40, np.random.default_rng(1))

    assert [state.trial_type for state in states[:2]] == ["state_01", "state_02"]
    assert len({state.foci for state in states}) == 40
    used = []
    for state in states:
        places = {(abs(f.centre_mm[0]), *f.centre_mm[1:]) for f in state.foci}
        assert MIN_REGIONS <= len(places) <= MAX_REGIONS
        assert places <= known
        used += places
    assert set(used) == known


def test_the_seed_decides() -> None:
    """The same generator draws the same states; another draws others."""
    first, again, other = (draw_states(3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_no_states_are_refused() -> None:
    """With the number."""
    with pytest.raises(ConfigError, match="0 states"):
        draw_states(0, np.random.default_rng(1))
