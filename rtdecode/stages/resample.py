"""Trilinear interpolation from the scanner's grid to the decoder's, only inside the mask."""

import numpy as np
from numba import njit

from rtdecode.stages.smooth import read_only
from rtdecode.types import Bool, Float32, Float64


def dilate(mask: Bool) -> Bool:
    """Return `mask` grown by one voxel in all 26 directions.

    Smoothing uses voxels outside the mask's edge. With this additional voxel, smoothing by 3 mm on
    a 2 mm grid has an error below 1 % there, without it up to 73 %.
    """
    grown = mask.astype(np.bool_)
    for axis in range(3):
        ahead, behind = grown.copy(), grown.copy()
        length = grown.shape[axis]
        to, source = [slice(None)] * 3, [slice(None)] * 3
        to[axis], source[axis] = slice(1, length), slice(0, length - 1)
        ahead[tuple(to)] |= grown[tuple(source)]
        behind[tuple(source)] |= grown[tuple(to)]
        grown = ahead | behind
    return grown


@njit(cache=True, nogil=True)
def _trilinear(image: Float32, matrix: Float32, points: Float32, out: Float32) -> int:
    """Sample `image` at `matrix` (3, 4) times `points` (n, 3); return the number outside."""
    nx, ny, nz = image.shape
    half = np.float32(0.5)
    outside = 0
    for n in range(points.shape[0]):
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        x = matrix[0, 0] * px + matrix[0, 1] * py + matrix[0, 2] * pz + matrix[0, 3]
        y = matrix[1, 0] * px + matrix[1, 1] * py + matrix[1, 2] * pz + matrix[1, 3]
        z = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2] * pz + matrix[2, 3]
        if not (-half <= x <= nx - half and -half <= y <= ny - half and -half <= z <= nz - half):
            out[n] = 0
            outside += 1
            continue
        # The outermost voxels extend half a voxel beyond their centres.
        x = min(max(x, np.float32(0)), np.float32(nx - 1))
        y = min(max(y, np.float32(0)), np.float32(ny - 1))
        z = min(max(z, np.float32(0)), np.float32(nz - 1))
        i, j, k = int(x), int(y), int(z)
        u, v, w = x - np.float32(i), y - np.float32(j), z - np.float32(k)
        i1, j1, k1 = min(i + 1, nx - 1), min(j + 1, ny - 1), min(k + 1, nz - 1)
        a = image[i, j, k] + w * (image[i, j, k1] - image[i, j, k])
        b = image[i, j1, k] + w * (image[i, j1, k1] - image[i, j1, k])
        c = image[i1, j, k] + w * (image[i1, j, k1] - image[i1, j, k])
        d = image[i1, j1, k] + w * (image[i1, j1, k1] - image[i1, j1, k])
        a += v * (b - a)
        c += v * (d - c)
        out[n] = a + u * (c - a)
    return outside


def step(
    data: Float32, affine: Float64, motion: Float64, coordinates_mm: Float32
) -> tuple[Float32, int]:
    """Sample a volume at the moved positions of the decoder's voxels.

    Parameters
    ----------
    data
        Scanner intensities, (X, Y, Z) float32.
    affine
        Voxel to scanner millimetres of this volume, (4, 4).
    motion
        Matrix from reference millimetres to this volume's, (4, 4).
    coordinates_mm
        Position of each voxel of the decoder's grid in the reference, (n, 3).

    Returns
    -------
    values : ndarray
        (n,) float32; 0 outside the field of view.
    outside : int
        Number of points outside.
    """
    matrix = (np.linalg.inv(affine) @ motion)[:3].astype(np.float32)
    out = np.empty(coordinates_mm.shape[0], np.float32)
    outside = _trilinear(read_only(data), matrix, read_only(coordinates_mm), out)
    return out, int(outside)
