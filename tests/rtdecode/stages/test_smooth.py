"""Gaussian smoothing."""

import numpy as np
import pytest
from scipy import ndimage

from rtdecode.stages import resample, smooth


@pytest.fixture
def mask() -> np.ndarray:
    """Return an ellipsoid in a grid of 20x24x18."""
    axes = np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in (20, 24, 18)), indexing="ij")
    return sum(a**2 for a in axes) < 1


def test_volumes_are_smoothed_as_scipy_does(rng: np.random.Generator) -> None:
    """Each axis has its own width, and edges are repeated."""
    image = rng.standard_normal((11, 9, 14)).astype(np.float32)
    sigmas = np.array([1.1, 0.0, 0.6])
    radius = [smooth.gaussian(s).size // 2 for s in sigmas]
    expected = ndimage.gaussian_filter(image, sigmas, mode="nearest", radius=radius)
    np.testing.assert_allclose(smooth.blur(image, sigmas), expected, atol=1e-5)


def test_a_constant_image_stays_constant_up_to_the_edge_of_the_mask(mask: np.ndarray) -> None:
    """Zeros outside the mask do not affect values inside."""
    dilated = resample.dilate(mask)
    plan = smooth.plan(mask, dilated, np.diag([2.0, 2.0, 2.0, 1.0]), fwhm_mm=6.0)
    out = smooth.step(plan, np.full(dilated.sum(), 5, np.float32))
    np.testing.assert_allclose(out, 5, rtol=1e-5)


def test_smoothing_far_from_the_edge_equals_the_full_grid(
    mask: np.ndarray, rng: np.random.Generator
) -> None:
    """Far from the edge, voxels in C order equal the smoothing of the full grid."""
    dilated = resample.dilate(mask)
    volume = rng.standard_normal(mask.shape).astype(np.float32)
    plan = smooth.plan(mask, dilated, np.diag([-2.0, 2.0, 2.0, 1.0]), fwhm_mm=3.0)
    sigmas = np.full(3, 3.0 / 2.3548 / 2)
    deep = ndimage.binary_erosion(mask, np.ones((3, 3, 3)), iterations=2)[mask]
    out = smooth.step(plan, volume[dilated])
    np.testing.assert_allclose(out[deep], smooth.blur(volume, sigmas)[mask][deep], atol=1e-4)


def test_smoothing_of_0_mm_returns_the_mask_unchanged(
    mask: np.ndarray, rng: np.random.Generator
) -> None:
    """At 0 mm the voxels of the mask are unchanged."""
    dilated = resample.dilate(mask)
    volume = rng.standard_normal(mask.shape).astype(np.float32)
    plan = smooth.plan(mask, dilated, np.diag([2.0, 2.0, 2.0, 1.0]), fwhm_mm=0.0)
    np.testing.assert_array_equal(smooth.step(plan, volume[dilated]), volume[mask])
