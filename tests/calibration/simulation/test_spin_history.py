import numpy as np

from calibration.simulation.epi_protocol import EpiProtocol
from calibration.simulation.spin_history import slice_brightness
from rtdecode.types import Motion

PROTOCOL = EpiProtocol((8, 8, 6), (3.0, 3.0, 3.0), repetition_time_s=1.0)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def _brightness(heights_mm: list[float]) -> np.ndarray:
    motion = tuple(Motion(trans_z=height) for height in heights_mm)
    return slice_brightness(motion, AFFINE, np.array([10.5, 10.5, 7.5]), PROTOCOL)


def test_a_still_head_changes_nothing():
    """Without motion every factor is one."""
    assert np.array_equal(_brightness([0.4] * 5), np.ones((5, 6)))


def test_a_jump_leaves_stripes_that_fade():
    """Even slices brighten and odd ones darken, and both settle within a few volumes."""
    found = _brightness([0.0, 0.6, 0.6, 0.6, 0.6])
    assert np.all(found[1, ::2] > 1.01)
    assert np.all(found[1, 1::2] < 0.99)
    left = np.abs(found[:, 0] - 1)
    assert np.all(np.diff(left[1:]) < 0)
    assert left[-1] < 0.02 * left[1]


def test_moving_within_the_slice_changes_nothing():
    """Only tissue that leaves its slice was excited at another time."""
    motion = (Motion(), Motion(trans_x=1.0, trans_y=-2.0))
    found = slice_brightness(motion, AFFINE, np.zeros(3), PROTOCOL)
    np.testing.assert_allclose(found, 1.0, atol=1e-12)
