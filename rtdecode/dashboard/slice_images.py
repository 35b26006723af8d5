"""Draws three orthogonal slices of a volume, with the outline of the decoder's mask."""

from collections.abc import Sequence

import imagecodecs
import nibabel as nib
import numpy as np
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from numpy.typing import NDArray

from rtdecode.stages import Space
from rtdecode.stages.resample import dilate
from rtdecode.stages.rigid import centre_mm, motion_matrix
from rtdecode.types import Float32, Float64, Motion, Volume

Bool2 = NDArray[np.bool_]
PIXELS_PER_MM = 1.5
GAP_PIXELS = 12
MARGIN_MM = 12.0
"""Width of the head that is shown around the mask."""
OUTLINE = (255, 176, 0)
"""Amber: visible on black, grey and white, also for colour-blind people."""
_REACH = 1.4
"""A voxel of the decoder's grid is drawn wider by this factor: the warp to MNI stretches it."""
_PLANES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""Sagittal, coronal, axial: the axis across the slice, then those to the right and upwards."""


def mask_points(space: Space) -> Float32:
    """Return the positions of the decoder's voxels in the reference, (n, 3) millimetres."""
    return space.coordinates_mm[space.mask[dilate(space.mask)]]


def move_points(points_mm: Float32, space: Space, motion: Motion | None) -> Float64:
    """Return the positions of reference points in a volume with head motion, (n, 3) mm."""
    points: Float64 = np.asarray(points_mm, np.float64)
    if motion is None:
        return points
    matrix = motion_matrix(motion, centre_mm(space.reference.shape, space.reference_affine))
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3], np.float64)


def picture(volume: Volume, points_mm: Float64 | None = None, grid_mm: float = 2.0) -> bytes:
    """Return sagittal, coronal and axial slices side by side, as PNG.

    The slices pass through the middle of the mask, or of the volume. Superior is up in the sagittal
    and coronal slice, and anterior is up in the axial slice. Anterior is right in the sagittal
    slice. The subject's left is on the left.

    Parameters
    ----------
    volume
        The volume to draw.
    points_mm
        Positions of the decoder's voxels in scanner millimetres of the volume, (n, 3).
    grid_mm
        Distance between neighbouring voxels.
    """
    turn = io_orientation(volume.affine)
    data = np.asarray(apply_orientation(volume.data, turn), np.float32)
    affine = volume.affine @ inv_ornt_aff(turn, volume.data.shape)
    sizes = nib.affines.voxel_sizes(affine)
    voxels = None if points_mm is None else (points_mm - affine[:3, 3]) @ _inverse(affine).T
    middle = (np.array(data.shape) - 1) / 2 if voxels is None else np.median(voxels, axis=0)
    at = np.clip(np.rint(middle), 0, np.array(data.shape) - 1).astype(int)
    low, high = np.percentile(data, (2.0, 99.7))
    grey = np.clip((data - low) / max(high - low, 1e-6) * 255, 0, 255)
    panels = []
    for across, right, up in _PLANES:
        plane = grey.take(int(at[across]), axis=across)
        panel = _to_rgb(_enlarge(plane, (sizes[right], sizes[up])))
        if voxels is not None:
            near = np.abs(voxels[:, across] - at[across]) * sizes[across] <= grid_mm * _REACH / 2
            placed = (voxels[near][:, (right, up)] + 0.5) * sizes[[right, up]] * PIXELS_PER_MM
            inside = _covered_pixels(placed, panel.shape[:2], grid_mm)
            panel[_outline(inside)] = OUTLINE
            panel = panel[_around(inside)]
        panels.append(panel.swapaxes(0, 1)[::-1])
    return bytes(imagecodecs.png_encode(_side_by_side(panels), level=4))


def _inverse(affine: Float64) -> Float64:
    return np.asarray(np.linalg.inv(affine[:3, :3]), np.float64)


def _enlarge(plane: Float32, sizes_mm: tuple[float, float]) -> Float32:
    """Return a slice at `PIXELS_PER_MM`, interpolated linearly."""
    for axis, size_mm in enumerate(sizes_mm):
        length = plane.shape[axis]
        pixels = max(1, round(length * size_mm * PIXELS_PER_MM))
        place = np.clip((np.arange(pixels) + 0.5) * length / pixels - 0.5, 0, length - 1)
        lower = np.minimum(place.astype(int), max(length - 2, 0))
        weight = np.expand_dims((place - lower).astype(np.float32), 1 - axis)
        above = plane.take(np.minimum(lower + 1, length - 1), axis)
        below = plane.take(lower, axis)
        plane = below + weight * (above - below)
    return plane


def _to_rgb(plane: Float32) -> NDArray[np.uint8]:
    return np.repeat(plane.astype(np.uint8)[:, :, np.newaxis], 3, axis=2)


def _covered_pixels(places: Float64, shape: tuple[int, ...], grid_mm: float) -> Bool2:
    """Return the pixels that the decoder's voxels cover; `places` are their centres in pixels."""
    inside = np.zeros(shape, np.bool_)
    half = grid_mm * _REACH * PIXELS_PER_MM / 2
    steps = range(-int(half), int(half) + 1)
    centres = places.astype(int)
    for i in steps:
        for j in steps:
            x = np.clip(centres[:, 0] + i, 0, shape[0] - 1)
            inside[x, np.clip(centres[:, 1] + j, 0, shape[1] - 1)] = True
    return inside


def _outline(inside: Bool2) -> Bool2:
    """Return the rim of a region, one pixel wide."""
    core = np.pad(inside, 1, mode="edge")
    interior = core[:-2, 1:-1] & core[2:, 1:-1] & core[1:-1, :-2] & core[1:-1, 2:]
    return inside & ~interior


def _around(inside: Bool2) -> tuple[slice, slice]:
    """Return the part of a slice that contains the mask, with a margin."""
    if not inside.any():
        return slice(None), slice(None)
    margin = round(MARGIN_MM * PIXELS_PER_MM)
    spans = [np.flatnonzero(inside.any(axis=1 - axis)) for axis in (0, 1)]
    first, second = (slice(max(0, int(s[0]) - margin), int(s[-1]) + margin) for s in spans)
    return first, second


def _side_by_side(panels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = max(panel.shape[0] for panel in panels)
    width = sum(panel.shape[1] for panel in panels) + GAP_PIXELS * (len(panels) - 1)
    canvas = np.zeros((height, width, 3), np.uint8)
    left = 0
    for panel in panels:
        top = (height - panel.shape[0]) // 2
        canvas[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
        left += panel.shape[1] + GAP_PIXELS
    return canvas
