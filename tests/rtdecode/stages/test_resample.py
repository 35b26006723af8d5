"""Dilation and interpolation."""

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from rtdecode.stages import resample


@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_dilation_reaches_all_26_neighbours(mask: np.ndarray) -> None:
    """Dilation equals scipy's with a full 3x3x3 element and does not change its input."""
    before = mask.copy()
    expected = ndimage.binary_dilation(mask, np.ones((3, 3, 3)))
    np.testing.assert_array_equal(resample.dilate(mask), expected)
    np.testing.assert_array_equal(mask, before)


def test_sampling_is_trilinear(rng: np.random.Generator) -> None:
    """Values inside agree with scipy's linear interpolation through affine and motion."""
    data = rng.standard_normal((12, 14, 9)).astype(np.float32)
    affine = np.array([[-3, 0, 0, 20], [0, 3, 0.4, -15], [0, -0.3, 4, -9], [0, 0, 0, 1.0]])
    motion = np.eye(4)
    motion[:3, 3] = [0.7, -0.4, 1.1]
    voxels = rng.uniform(0, np.array(data.shape) - 1, (500, 3))
    points = voxels @ affine[:3, :3].T + affine[:3, 3] - motion[:3, 3]
    values, outside = resample.step(data, affine, motion, points.astype(np.float32))
    expected = ndimage.map_coordinates(data, voxels.T, order=1)
    np.testing.assert_allclose(values, expected, atol=1e-4)
    assert outside == 0


def test_points_outside_the_field_of_view_are_zero_and_counted() -> None:
    """Half a voxel beyond the outermost centres still counts as inside."""
    data = np.full((4, 4, 4), 7, np.float32)
    points = np.array([[0, 0, 0], [-0.4, 0, 3.4], [-0.6, 0, 0], [0, 9, 0]], np.float32)
    values, outside = resample.step(data, np.eye(4), np.eye(4), points)
    np.testing.assert_array_equal(values, [7, 7, 0, 0])
    assert outside == 2
