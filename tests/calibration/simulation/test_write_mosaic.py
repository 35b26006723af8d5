"""Slices side by side, as Siemens lays them."""

import numpy as np

from calibration.simulation.write_mosaic import mosaic_pixels, tiles


def test_tiles_hold_slices_row_by_row():
    """The mosaic is the smallest square that holds all slices, filled from the top left."""
    data = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    mosaic = mosaic_pixels(data)
    assert [tiles(n) for n in (1, 4, 5, 36, 37)] == [1, 2, 3, 6, 7]
    assert mosaic.shape == (9, 6)
    assert np.array_equal(mosaic[3:6, 2:4], data[:, ::-1, 4].T)
    assert not mosaic[6:].any()
