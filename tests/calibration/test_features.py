"""Plain features."""

import numpy as np

from calibration.features import coarse_voxels, motion_features, parcels, time_features

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def test_coarse_voxels_are_means_of_cubes():
    """Cubes of 8 mm hold four voxels of 2 mm a side; voxels outside the mask do not count."""
    mask = np.ones((8, 4, 4), bool)
    mask[0, 0, 0] = False
    values = np.where(np.argwhere(mask)[:, 0] < 4, 1.0, 3.0).astype(np.float32)

    found = coarse_voxels(np.stack([values, 2 * values]), mask, AFFINE)

    np.testing.assert_allclose(found, [[1, 3], [2, 6]])


def test_parcels_are_compact_and_cover_the_brain():
    """Four hundred pieces, each a mean of neighbours: a smooth field survives."""
    mask = np.ones((20, 20, 20), bool)
    places = np.argwhere(mask)
    ramp = places[:, 0].astype(np.float32)

    found = parcels(np.stack([ramp, np.ones_like(ramp)]), mask, AFFINE)

    assert found.shape == (2, 400)
    np.testing.assert_allclose(found[1], 1, rtol=1e-6)
    assert 0 <= found[0].min() < 3
    assert 16 < found[0].max() <= 19
    again = parcels(np.stack([ramp]), mask, AFFINE)
    np.testing.assert_array_equal(found[0], again[0])


def test_motion_features_are_standardised_and_finite(rng):
    """Parameters, changes and squares; a head that never moved is no not-a-number."""
    moving = motion_features(rng.standard_normal((50, 6)))
    still = motion_features(np.zeros((50, 6)))

    assert moving.shape == (50, 18)
    np.testing.assert_allclose(moving.std(axis=0), 1, rtol=1e-4)
    assert np.isfinite(still).all()


def test_time_features_know_when_but_nothing_fast():
    """Polynomials and one slow wave; a short run is as good as a long one."""
    found = time_features(np.arange(100) * 2.0)

    assert found.shape == (100, 6)
    assert np.abs(found).max() <= 1 + 1e-6
    assert np.abs(np.diff(found, axis=0)).max() < 0.1
