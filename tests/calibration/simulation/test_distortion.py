import numpy as np
import pytest

from calibration.simulation.distortion import SITES, displaced_tissue, shift_mm

FORWARD = np.array([0.0, 1.0, 0.0])


def test_the_shift_is_largest_at_the_sinus_and_gone_at_the_top():
    """Above the sphenoid the whole shift, in motor cortex none."""
    points = np.array([SITES[0][0], (38.0, -24.0, 56.0)]).T
    sinus, motor = shift_mm(points, 4.0)
    assert sinus == pytest.approx(4.0, rel=0.02)
    assert motor < 0.01


def test_tissue_lies_further_in_front():
    """Only the phase encoding's axis is concerned."""
    points = np.array([SITES[0][0]]).T
    tissue, _ = displaced_tissue(points, FORWARD, np.eye(4), 4.0)
    np.testing.assert_allclose((tissue - points)[:, 0], [0, 4, 0], atol=0.1)


def test_no_signal_is_lost_or_made():
    """Along a line through the sinus, stretched and squeezed signal sums to what there was."""
    y = np.arange(-150.0, 200.0, 0.25)
    line = np.stack([np.zeros_like(y), y, np.full_like(y, -24.0)])
    tissue, brightness = displaced_tissue(line, FORWARD, np.eye(4), 6.0)
    assert brightness.min() > 0
    # The signal of all tissue from one end to the other, seen in the image.
    assert brightness.sum() * 0.25 == pytest.approx(tissue[1, -1] - tissue[1, 0] + 0.25, rel=1e-4)
    assert np.ptp(brightness) > 0.3
