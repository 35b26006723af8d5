import numpy as np

from calibration.simulation.motion import MotionSettings, draw_motion
from calibration.simulation.seeds import stream

TIMES_S = np.arange(344) + 0.5


def _displacement(motion: np.ndarray) -> np.ndarray:
    """Return framewise displacement (Power et al. 2012) in mm."""
    return np.abs(np.diff(motion * [1, 1, 1, 50, 50, 50], axis=0)).sum(axis=1)


def test_heads_are_calm_but_for_one_start():
    """Framewise displacement is that of a compliant adult, with one clear spike after the rest."""
    for seed in range(10):
        moved = _displacement(draw_motion(MotionSettings(), TIMES_S, 24.0, stream("m", seed)))
        assert 0.05 < np.median(moved) < 0.25
        assert 0.4 < moved.max() < 2.5
        assert moved.argmax() >= 23


def test_a_still_head_is_still(still):
    """With every figure at zero the head never moves."""
    assert not draw_motion(still, TIMES_S, 24.0, stream("m", 1)).any()


def test_very_short_runs_move_too():
    """One volume, or fewer than the spikes asked for, is no special case."""
    settings = MotionSettings(spikes=5)
    assert draw_motion(settings, TIMES_S[:1], 24.0, stream("m", 1)).shape == (1, 6)
