"""Resample an image to a coarser grid: blur it to the new voxel width, then sample it."""

import numpy as np
from scipy import ndimage

from calibration.registration.image_geometry import (
    Image,
    Shape,
    apply_affine,
    inverse,
    sample,
    voxel_centres_mm,
)
from rtdecode.types import Float32, Float64

WEIGHT_STEP = 2.0**-20
"""Weights are multiples of this, so that they do not depend on a CPU's rounding."""


def resample(image: Image, shape: Shape, affine: Float64) -> Float32:
    """Return `image` on another grid, linear between its blurred voxels, zero outside it.

    A coarse voxel represents the volume that it covers. Therefore the image is blurred by a
    Gaussian of the new voxel width. If the axes of both grids are parallel, blur and interpolation
    are one sum per axis.

    Parameters
    ----------
    image
        The image to resample.
    shape, affine
        Shape of the new grid and its affine, voxel to millimetres, RAS+, (4, 4).

    Returns
    -------
    (*shape)
    """
    voxel_mm = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    sigma = np.sqrt(np.maximum(voxel_mm.mean() ** 2 - image.voxel_mm**2, 0)) / 2.355
    blurs = sigma / image.voxel_mm
    # Indices 0 and 1 along each axis of the new grid, in voxels of the old grid.
    ends = apply_affine(
        inverse(image.affine), apply_affine(affine, np.vstack([np.zeros(3), np.eye(3)]))
    )
    steps = ends[1:] - ends[0]
    parallel = np.allclose(steps, np.diag(np.diag(steps)), rtol=0, atol=1e-9)
    data = image.data
    for axis, (length, blur) in enumerate(zip(image.data.shape, blurs, strict=True)):
        places = (
            ends[0, axis] + steps[axis, axis] * np.arange(shape[axis])
            if parallel
            else np.arange(length, dtype=np.float64)
        )
        data = _weighted_sums(data, axis, _weights(length, places, float(blur)))
    if parallel:
        return data
    return sample(data, image.affine, voxel_centres_mm(shape, affine)).reshape(shape)


def _weights(length: int, places: Float64, sigma: float) -> Float64:
    """Return the weight of each of `length` voxels at each place, (places, length)."""
    blur = ndimage.gaussian_filter1d(np.eye(length), sigma, axis=0) if sigma else np.eye(length)
    within = (places >= -0.5) & (places <= length - 0.5)
    place = np.clip(places, 0, length - 1)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, length - 1)
    part = (place - below)[:, None]
    weights = ((1 - part) * blur[below] + part * blur[above]) * within[:, None]
    rounded: Float64 = np.round(weights / WEIGHT_STEP) * WEIGHT_STEP
    return rounded


def _weighted_sums(data: Float32, axis: int, weights: Float64) -> Float32:
    """Return the weighted sums of `data` along an axis; most weights are zero."""
    nonzero = weights != 0
    first = np.argmax(nonzero, axis=1)
    last = weights.shape[1] - 1 - np.argmax(nonzero[:, ::-1], axis=1)
    width = int((last - first)[nonzero.any(axis=1)].max(initial=0)) + 1
    across = [1, 1, 1]
    across[axis] = len(weights)
    size = list(data.shape)
    size[axis] = len(weights)
    total = np.zeros(size, np.float32)
    for tap in range(width):
        index = np.minimum(first + tap, weights.shape[1] - 1)
        # A tap beyond the last voxel would count that voxel twice.
        weight = np.where(first + tap < weights.shape[1], weights[np.arange(len(index)), index], 0)
        total += data.take(index, axis=axis) * weight.astype(np.float32).reshape(across)
    return total
