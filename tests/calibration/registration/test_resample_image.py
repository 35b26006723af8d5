"""Resampling an image to a coarser grid."""

import numpy as np
import pytest
from scipy import ndimage

from calibration.registration.image_geometry import Image, sample, voxel_centres_mm
from calibration.registration.resample_image import resample

SHAPE = (12, 14, 11)
TURN = np.deg2rad(8)
OBLIQUE = np.array(
    [
        [2.5 * np.cos(TURN), -2.5 * np.sin(TURN), 0, -12],
        [2.5 * np.sin(TURN), 2.5 * np.cos(TURN), 0, -15],
        [0, 0, 2.5, -9],
        [0, 0, 0, 1],
    ]
)
FLIPPED = np.array([[-2.5, 0, 0, 14], [0, 2.5, 0, -17.2], [0, 0, 2.5, -12.1], [0, 0, 0, 1]])


@pytest.fixture
def image(rng) -> Image:
    """Return noise on a grid of 1 mm around the origin."""
    affine = np.eye(4)
    affine[:3, 3] = [-15, -18, -12]
    return Image(rng.random((30, 36, 24), dtype=np.float32), affine)


@pytest.mark.parametrize("affine", [FLIPPED, OBLIQUE], ids=["parallel", "oblique"])
def test_resampling_is_a_blur_and_linear_interpolation(image: Image, affine: np.ndarray) -> None:
    """The sums along the axes equal scipy's blur, sampled at the grid's centres."""
    sigma = np.sqrt(2.5**2 - 1) / 2.355
    blurred = ndimage.gaussian_filter(image.data, sigma)
    expected = sample(blurred, image.affine, voxel_centres_mm(SHAPE, affine)).reshape(SHAPE)

    found = resample(image, SHAPE, affine)

    assert (expected == 0).any()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_grid_as_fine_as_the_image_returns_it(image: Image) -> None:
    """Nothing is blurred where voxels stay as large as they are."""
    assert np.array_equal(resample(image, image.data.shape, image.affine), image.data)
