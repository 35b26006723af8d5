"""Separable Gaussian smoothing of whole volumes and of the voxels in a mask."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rtdecode.types import Bool, Float32, Float64

Array = TypeVar("Array", bound=NDArray[Any])
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))
TRUNCATION_SIGMA = 3.0
"""Cut-off of the Gaussian: its height there is about 1 % of the peak, and 0.3 % of its area is
beyond."""


def gaussian(sigma: float) -> Float32:
    """Return an odd number of Gaussian weights with sum 1; `sigma` in voxels, 0 for none."""
    if sigma <= 0:
        return np.ones(1, dtype=np.float32)
    radius = max(1, int(np.ceil(TRUNCATION_SIGMA * sigma - 0.5)))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


def read_only(array: Array) -> Array:
    """Return a read-only view, so that a kernel is compiled once for all arrays."""
    view = array.view()
    view.setflags(write=False)
    return view


@njit(cache=True, nogil=True)
def _along_x(image: Float32, x: int, kernel: Float32, plane: Float32) -> None:
    """Set `plane` (Y, Z) to the image at `x`, convolved along x with repeated edges."""
    nx, ny, nz = image.shape
    plane[:] = 0
    for t in range(kernel.size):
        weight = kernel[t]
        source = min(max(x + t - kernel.size // 2, 0), nx - 1)
        for y in range(ny):
            for z in range(nz):
                plane[y, z] += weight * image[source, y, z]


@njit(cache=True, nogil=True)
def _along_z(row: Float32, kernel: Float32, out: Float32) -> None:
    """Set `out` (Z,) to the convolved `row`, which has space for repeated edges on both sides."""
    nz, radius = out.size, kernel.size // 2
    for t in range(radius):
        row[t] = row[radius]
        row[radius + nz + t] = row[radius + nz - 1]
    out[:] = 0
    for t in range(kernel.size):
        weight = kernel[t]
        for z in range(nz):
            out[z] += weight * row[z + t]


@njit(cache=True, nogil=True)
def _blur(image: Float32, kx: Float32, ky: Float32, kz: Float32, out: Float32) -> None:
    """Convolve along three axes by planes and rows, which fit into the processor's cache."""
    nx, ny, nz = image.shape
    radius = kz.size // 2
    plane = np.empty((ny, nz), np.float32)
    row = np.empty(nz + 2 * radius, np.float32)
    for x in range(nx):
        _along_x(image, x, kx, plane)
        for y in range(ny):
            row[:] = 0
            for t in range(ky.size):
                weight = ky[t]
                source = min(max(y + t - ky.size // 2, 0), ny - 1)
                for z in range(nz):
                    row[radius + z] += weight * plane[source, z]
            _along_z(row, kz, out[x, y])


def blur(image: Float32, sigmas: Float64) -> Float32:
    """Return `image` smoothed by a Gaussian, with repeated edges.

    Parameters
    ----------
    image
        (X, Y, Z) float32, C-contiguous.
    sigmas
        Standard deviation in voxels along each axis, (3,); 0 for none.

    Returns
    -------
    ndarray
        (X, Y, Z) float32.
    """
    out = np.empty(image.shape, np.float32)
    kx, ky, kz = (read_only(gaussian(float(sigma))) for sigma in sigmas)
    _blur(read_only(image), kx, ky, kz, out)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Smoothing:
    """Constants of smoothing during a run, from `plan`."""

    shape: tuple[int, int, int]
    """Shape of the bounding box of the dilated mask plus one voxel on each side."""
    source: NDArray[np.intp]
    """Index of each voxel of the dilated mask in the raveled box, (n_dilated,)."""
    target: NDArray[np.intp]
    """Index of each voxel of the mask in the raveled box, (n_mask,)."""
    sigmas: Float64
    """Standard deviations in voxels, (3,)."""
    gain: Float32
    """Inverse of the kernel's weight inside the dilated mask, (n_mask,)."""


def plan(mask: Bool, dilated: Bool, affine: Float64, fwhm_mm: float) -> Smoothing:
    """Prepare smoothing from the voxels of `dilated` to those of `mask`.

    Parameters
    ----------
    mask, dilated
        (X, Y, Z); every voxel of `mask` is in `dilated`.
    affine
        Voxel to millimetres of their grid, (4, 4).
    fwhm_mm
        Full width at half maximum; 0 for no smoothing.
    """
    inside = np.argwhere(dilated)
    low, high = inside.min(axis=0) - 1, inside.max(axis=0) + 2
    shape = tuple(int(n) for n in high - low)
    source = np.ravel_multi_index(tuple((inside - low).T), shape)
    target = np.ravel_multi_index(tuple((np.argwhere(mask) - low).T), shape)
    voxel_mm = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    sigmas = fwhm_mm / FWHM_PER_SIGMA / voxel_mm
    weight = np.zeros(shape, np.float32)
    weight.ravel()[source] = 1
    gain = 1 / blur(weight, sigmas).ravel()[target]
    return Smoothing((shape[0], shape[1], shape[2]), source, target, sigmas, gain)


def step(smoothing: Smoothing, dilated_values: Float32) -> Float32:
    """Smooth one volume using only the voxels of the dilated mask.

    The result is divided by the kernel's weight inside the dilated mask. Without that, zeros
    outside would reduce values at the mask's edge.

    Parameters
    ----------
    dilated_values
        (n_dilated,) in C order of the dilated mask.

    Returns
    -------
    ndarray
        (n_mask,) float32 in C order of the mask.
    """
    box = np.zeros(smoothing.shape, np.float32)
    box.ravel()[smoothing.source] = dilated_values
    if not smoothing.sigmas.any():
        return box.ravel()[smoothing.target]
    return blur(box, smoothing.sigmas).ravel()[smoothing.target] * smoothing.gain
