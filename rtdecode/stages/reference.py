"""Prepare the reference EPI for realignment: off-grid samples, gradients, normal matrix.

This is done once before a run, so it is plain numpy.
"""

from dataclasses import dataclass

import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.stages.rigid import centre_mm
from rtdecode.stages.smooth import FWHM_PER_SIGMA, blur
from rtdecode.types import Float32, Float64

FINE = (7.0, 6.0)
"""Smoothing (FWHM) and sample spacing for tracking, mm. The error is about half of that with 5 mm
FWHM on voxels of 3 to 4 mm; a spacing of 4 mm does not reduce it further."""
COARSE = ((24.0, 12.0), (12.0, 8.0))
"""The same for a run's first volume, whose position is unknown: starting with 24 mm, Gauss-Newton
converges from 20 mm and 10 degrees away."""
MARGIN_MM = 6.0
"""Samples nearer than this to the edge of a field of view are left out, because smoothing mixes
repeated edge values into them, which do not move with the head. On three real series cut to a part
of the head, the worst mean error was 0.024 mm with a margin of 2 mm, and is 0.014 mm with this."""
HEAD_THRESHOLD = 0.1
"""Fraction of the 98th percentile of the smoothed reference; the head is above it."""
MINIMUM_SAMPLES = 100
"""Fewer samples do not determine six parameters reliably."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The reference at one smoothness, prepared for Gauss-Newton."""

    fwhm_mm: float
    points_mm: Float32
    """Sample positions, scanner mm, (n, 3)."""
    design: Float32
    """Derivatives of the intensity by three translations (mm) and three rotations (rad) about the
    centre, and the intensity itself, (n, 7)."""
    normal: Float64
    """Normal matrix design' design, (7, 7)."""
    inverse: Float64
    """Inverse of `normal`, (7, 7); times design' it is the pseudo-inverse."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Constants of realignment during a run, from `build`."""

    centre_mm: Float64
    """Centre of the field of view and of rotations, (3,)."""
    levels: tuple[Level, ...]
    """Levels from coarse to fine; tracking uses the last."""


def _basis(t: Float64) -> tuple[Float64, Float64]:
    """Return weights and slopes (4, n) of the cubic B-spline at offsets `t` in [0, 1)."""
    u = 1 - t
    weights = np.array([u**3, 3 * t**3 - 6 * t**2 + 4, 3 * u**3 - 6 * u**2 + 4, t**3]) / 6
    slopes = np.array([-(u**2), 3 * t**2 - 4 * t, -3 * u**2 + 4 * u, t**2]) / 2
    return weights, slopes


def _sample(image: Float32, voxels: Float64) -> tuple[Float64, Float64]:
    """Return values (n,) and gradients per voxel (n, 3) of the B-spline over `image`."""
    base = np.floor(voxels).astype(np.intp)
    bases = [_basis(voxels[:, axis] - base[:, axis]) for axis in range(3)]
    values, gradients = np.zeros(len(voxels)), np.zeros((len(voxels), 3))
    taps = [
        [np.clip(base[:, axis] - 1 + t, 0, image.shape[axis] - 1) for t in range(4)]
        for axis in range(3)
    ]
    (wx, sx), (wy, sy), (wz, sz) = bases
    for i, j, k in np.ndindex(4, 4, 4):
        voxel = image[taps[0][i], taps[1][j], taps[2][k]]
        values += wx[i] * wy[j] * wz[k] * voxel
        gradients[:, 0] += sx[i] * wy[j] * wz[k] * voxel
        gradients[:, 1] += wx[i] * sy[j] * wz[k] * voxel
        gradients[:, 2] += wx[i] * wy[j] * sz[k] * voxel
    return values, gradients


def _voxel_mm(affine: Float64) -> Float64:
    return np.sqrt((affine[:3, :3] ** 2).sum(axis=0))


def smooth_to_fwhm(data: Float32, affine: Float64, fwhm_mm: float) -> Float32:
    """Smooth so that the total blur, including that of the B-spline, is `fwhm_mm` on any grid.

    A cubic B-spline without prefilter adds a variance of a third of a squared voxel. Without this
    correction, a run and a reference on different grids would differ in smoothness.
    """
    voxel_mm = _voxel_mm(affine)
    variance = (fwhm_mm / FWHM_PER_SIGMA) ** 2 - voxel_mm**2 / 3
    return blur(data, np.sqrt(np.maximum(variance, 0)) / voxel_mm)


def edge_margin(shape: tuple[int, ...], affine: Float64) -> Float64:
    """Return the margin to leave out in voxels (3,), limited so that samples remain."""
    return np.minimum(MARGIN_MM / _voxel_mm(affine), (np.array(shape[:3]) - 1) / 4)


def _level(data: Float32, affine: Float64, fwhm_mm: float, spacing_mm: float) -> Level:
    smoothed = smooth_to_fwhm(data, affine, fwhm_mm)
    voxel_mm = _voxel_mm(affine)
    margin = edge_margin(data.shape, affine)
    axes = [
        np.arange(low, n - 1 - low, max(spacing_mm / mm, 1.0))
        for n, mm, low in zip(data.shape, voxel_mm, margin, strict=True)
    ]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # With a fixed seed, the same reference always gives the same samples and decisions.
    voxels += np.random.default_rng(0).uniform(-0.5, 0.5, voxels.shape)
    voxels = np.clip(voxels, margin, np.array(data.shape) - 1 - margin)
    values, gradients = _sample(smoothed, voxels)
    head = values > HEAD_THRESHOLD * np.percentile(smoothed, 98)
    voxels, values, gradients = voxels[head], values[head], gradients[head]
    points = voxels @ affine[:3, :3].T + affine[:3, 3]
    slopes = gradients @ np.linalg.inv(affine[:3, :3])
    rotations = np.cross(points - centre_mm(data.shape, affine), slopes)
    design = np.column_stack([slopes, rotations, values]).astype(np.float32)
    exact: Float64 = design.astype(np.float64)
    normal = exact.T @ exact
    if len(points) < MINIMUM_SAMPLES or np.linalg.matrix_rank(normal, hermitian=True) < 7:
        raise ConfigError(
            f"reference EPI: realignment needs an image of a head and found {len(points)} usable "
            f"samples of {len(head)} in a {'x'.join(map(str, data.shape))} volume; "
            "calibrate again with a whole-head EPI"
        )
    inverse = np.linalg.inv(normal).astype(np.float64)
    return Level(fwhm_mm, points.astype(np.float32), design, normal, inverse)


def build(reference: Float32, affine: Float64) -> Reference:
    """Prepare the realignment to a reference EPI.

    Parameters
    ----------
    reference
        (X, Y, Z) float32.
    affine
        Voxel to scanner millimetres, RAS+, (4, 4).

    Raises
    ------
    ConfigError
        The reference has too few usable samples.
    """
    data = np.ascontiguousarray(reference, dtype=np.float32)
    levels = tuple(_level(data, affine, *level) for level in (*COARSE, FINE))
    return Reference(centre_mm(data.shape, affine), levels)
