"""The picture of the newest volume."""

import imagecodecs
import numpy as np
import pytest

from rtdecode.dashboard.slice_images import (
    OUTLINE,
    PIXELS_PER_MM,
    mask_points,
    move_points,
    picture,
)
from rtdecode.stages import Space
from rtdecode.stages.resample import dilate
from rtdecode.types import Identity, Motion, Volume

SHAPE, SIZE_MM = (20, 24, 16), 3.0


def volume_of(data, affine):
    """Return a volume."""
    return Volume(0, data, affine, 0.0, 2.0, Identity("", 1, 1))


@pytest.fixture
def affine():
    """Return RAS+ voxels of 3 mm whose middle is the origin."""
    matrix = np.diag([SIZE_MM, SIZE_MM, SIZE_MM, 1.0])
    matrix[:3, 3] = -SIZE_MM * (np.array(SHAPE) - 1) / 2
    return matrix


@pytest.fixture
def space(affine):
    """Return a decoder's grid that is the scanner's own, with a box as its mask."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[5:15, 6:18, 4:12] = True
    voxels = np.argwhere(dilate(mask))
    coordinates = (voxels @ affine[:3, :3].T + affine[:3, 3]).astype(np.float32)
    return Space(np.ones(SHAPE, np.float32), affine, mask, affine, coordinates)


def outline_of(png):
    """Return the pixels of the outline."""
    return (imagecodecs.png_decode(png) == OUTLINE).all(axis=2)


def test_the_masks_voxels_are_found_among_the_dilated_ones(space, affine):
    points = mask_points(space)
    expected = np.argwhere(space.mask) @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(points, expected)


def test_points_move_with_the_head(space):
    points = mask_points(space)
    moved = move_points(points, space, Motion(trans_x=2.0, trans_z=-1.0))
    np.testing.assert_allclose(moved - points, np.tile([2.0, 0.0, -1.0], (len(points), 1)))


def test_the_outline_encloses_the_mask(space, affine, rng):
    data = rng.uniform(0, 100, SHAPE).astype(np.float32)
    png = picture(volume_of(data, affine), move_points(mask_points(space), space, None), SIZE_MM)
    outline = outline_of(png)
    columns = np.flatnonzero(outline.any(axis=0))
    # Three boxes beside each other; the box is 12 voxels deep, 10 wide.
    breaks = np.flatnonzero(np.diff(columns) > 12)
    assert len(breaks) == 2
    widths = [len(part) / PIXELS_PER_MM for part in np.split(columns, breaks + 1)]
    np.testing.assert_allclose(widths, [36.0, 30.0, 30.0], atol=3.0)


def test_the_subjects_left_is_on_the_left_however_it_was_scanned(affine):
    """A bright block on the left and in front, stored in two ways, is shown in one."""
    data = np.zeros(SHAPE, np.float32)
    data[2:6, 16:22, :] = 100.0
    flipped = affine @ np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[:3, 3] = affine[:3, 3] + [SIZE_MM * (SHAPE[0] - 1), 0, 0]
    shown = imagecodecs.png_decode(picture(volume_of(data, affine)))
    again = imagecodecs.png_decode(picture(volume_of(data[::-1].copy(), flipped)))
    np.testing.assert_array_equal(shown, again)
    axial = shown[:, -round(SHAPE[0] * SIZE_MM * PIXELS_PER_MM) :, 0]
    bright = np.argwhere(axial > 128).mean(axis=0)
    assert bright[0] < axial.shape[0] / 2  # anterior is up
    assert bright[1] < axial.shape[1] / 2  # left is left


def test_an_empty_volume_is_black(affine):
    png = picture(volume_of(np.zeros(SHAPE, np.float32), affine))
    assert not imagecodecs.png_decode(png).any()
