"""Points, grids and overlap."""

import numpy as np
import pytest

from calibration.registration import image_geometry, template


def test_sampling_reads_voxel_centres_and_stops_at_the_field_of_view(rng) -> None:
    """A voxel's centre gives its value, the outer half voxel its border's, beyond is zero."""
    data = rng.random((4, 5, 6), dtype=np.float32)
    affine = np.array([[0, -3.0, 0, 7], [2.0, 0, 0, -1], [0, 0, 4.0, 3], [0, 0, 0, 1]])
    centres = image_geometry.voxel_centres_mm(data.shape, affine)
    assert np.allclose(
        image_geometry.sample(data, affine, centres).reshape(data.shape), data, atol=1e-6
    )
    rim = image_geometry.apply_affine(affine, np.array([[-0.4, 0, 0], [-0.6, 0, 0]]))
    assert image_geometry.inside(data.shape, affine, rim).tolist() == [True, False]
    assert image_geometry.sample(data, affine, rim) == pytest.approx([data[0, 0, 0], 0])


def test_dice_of_half_overlapping_and_empty_masks() -> None:
    """Two of four voxels shared by masks of four each is a half; nothing with nothing is zero."""
    first, second = np.arange(8) < 4, (np.arange(8) >= 2) & (np.arange(8) < 6)
    assert image_geometry.dice(first, second) == 0.5
    assert image_geometry.dice(first & second & ~first, second & ~second) == 0.0


def test_mutual_information_sees_any_relation_and_none(rng) -> None:
    """An image shares all its bins with its negative and nearly nothing with noise."""
    values = rng.random(20_000, dtype=np.float32)
    assert image_geometry.mutual_information(values, -values) == pytest.approx(np.log(16), abs=0.02)
    noise = rng.random(20_000, dtype=np.float32)
    assert abs(image_geometry.mutual_information(values, noise)) < 0.005


def test_the_template_is_the_same_brain_on_any_grid() -> None:
    """Its volume and centre do not depend on the grid's resolution or orientation."""
    radiological = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    fine = template.on_grid((91, 109, 91), radiological)
    coarse = template.at_resolution(4.0)
    volumes, centres = [], []
    assert np.array_equal(template.brain_mask((91, 109, 91), radiological), fine.mask)
    for brain in (fine, coarse):
        volumes.append(brain.mask.sum() * np.prod(brain.t1.voxel_mm) / 1000)
        points = image_geometry.voxel_centres_mm(brain.mask.shape, brain.t1.affine)
        centres.append(points[brain.mask.ravel()].mean(axis=0))
        white_matter = template.white_matter(brain.mask.shape, brain.t1.affine)
        assert (white_matter & ~brain.mask).sum() == 0
        assert white_matter.sum() > 0.2 * brain.mask.sum()
        assert (brain.mask & ~brain.generous).sum() == 0
    assert volumes == pytest.approx([1880, 1880], rel=0.02)
    assert np.allclose(centres[0], centres[1], atol=0.5)
