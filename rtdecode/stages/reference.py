"""The reference EPI made ready for realignment: off-grid samples, gradients, normal matrix.

Everything here happens once, before a run, so it is plain numpy.
"""

from dataclasses import dataclass

import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.stages.rigid import centre_mm
from rtdecode.stages.smooth import FWHM_PER_SIGMA, blur
from rtdecode.types import Float32, Float64

FINE = (7.0, 6.0)
"""Smoothing (FWHM) and spacing of the samples while tracking, mm: about half the error of 5 mm
FWHM on voxels of 3 to 4 mm, and a spacing of 4 mm gains nothing more."""
COARSE = ((24.0, 12.0), (12.0, 8.0))
"""The same for a run's first volume, where nothing is known yet: from 24 mm, Gauss-Newton finds its
way home over 20 mm and 10 degrees."""
MARGIN_MM = 6.0
"""Samples nearer than this to the edge of a field of view are left out. Smoothing mixes the edge's
repetition into them, which does not move with the head: on three real series cut to a part of the
head, the worst mean error was 0.024 mm with a margin of 2 mm, and is 0.014 mm with this."""
HEAD_THRESHOLD = 0.1
"""Of the 98th percentile of the smoothed reference; below it there is no head."""
MINIMUM_SAMPLES = 100
"""Six parameters from fewer would be chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """The reference at one smoothness, ready for Gauss-Newton."""

    fwhm_mm: float
    points_mm: Float32
    """(n, 3) where it is sampled, scanner mm."""
    design: Float32
    """(n, 7) change of intensity for each of three translations (mm) and three rotations (rad)
    about the centre, and the intensity itself."""
    normal: Float64
    """(7, 7) design' design."""
    inverse: Float64
    """(7, 7) its inverse; with design' it is the pseudo-inverse."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What never changes while a run is realigned; made by `build`."""

    centre_mm: Float64
    """(3,) centre of the field of view, about which rotations turn."""
    levels: tuple[Level, ...]
    """Coarse to fine; tracking uses the last."""


def _basis(t: Float64) -> tuple[Float64, Float64]:
    """Return the weights (4, n) of the cubic B-spline at offsets `t` in [0, 1), and slopes."""
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


def smoothed_as(data: Float32, affine: Float64, fwhm_mm: float) -> Float32:
    """Smooth so that, with what the B-spline will add, the blur is `fwhm_mm` on any grid.

    A cubic B-spline without prefilter blurs by a third of a squared voxel; were that not counted,
    a run on another grid than the reference's would be compared at another smoothness.
    """
    voxel_mm = _voxel_mm(affine)
    variance = (fwhm_mm / FWHM_PER_SIGMA) ** 2 - voxel_mm**2 / 3
    return blur(data, np.sqrt(np.maximum(variance, 0)) / voxel_mm)


def margin_of(shape: tuple[int, ...], affine: Float64) -> Float64:
    """Return the edge to leave out in voxels (3,), never so much that nothing is left."""
    return np.minimum(MARGIN_MM / _voxel_mm(affine), (np.array(shape[:3]) - 1) / 4)


def _level(data: Float32, affine: Float64, fwhm_mm: float, spacing_mm: float) -> Level:
    smoothed = smoothed_as(data, affine, fwhm_mm)
    voxel_mm = _voxel_mm(affine)
    margin = margin_of(data.shape, affine)
    axes = [
        np.arange(low, n - 1 - low, max(spacing_mm / mm, 1.0))
        for n, mm, low in zip(data.shape, voxel_mm, margin, strict=True)
    ]
    voxels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # A fixed seed: the same reference always gives the same samples, hence the same decisions.
    voxels += np.random.default_rng(0).uniform(-0.5, 0.5, voxels.shape)
    voxels = np.clip(voxels, margin, np.array(data.shape) - 1 - margin)
    values, gradients = _sample(smoothed, voxels)
    head = values > HEAD_THRESHOLD * np.percentile(smoothed, 98)
    voxels, values, gradients = voxels[head], values[head], gradients[head]
    points = voxels @ affine[:3, :3].T + affine[:3, 3]
    slopes = gradients @ np.linalg.inv(affine[:3, :3])
    turns = np.cross(points - centre_mm(data.shape, affine), slopes)
    design = np.column_stack([slopes, turns, values]).astype(np.float32)
    exact: Float64 = design.astype(np.float64)
    normal = exact.T @ exact
    if len(points) < MINIMUM_SAMPLES or np.linalg.matrix_rank(normal, hermitian=True) < 7:
        raise ConfigError(
            f"reference EPI: realignment needs a head in it and found {len(points)} usable "
            f"samples of {len(head)} in a {'x'.join(map(str, data.shape))} volume; "
            "calibrate again with a whole-head EPI"
        )
    inverse = np.linalg.inv(normal).astype(np.float64)
    return Level(fwhm_mm, points.astype(np.float32), design, normal, inverse)


def build(reference: Float32, affine: Float64) -> Reference:
    """Prepare realignment to a reference EPI.

    Parameters
    ----------
    reference
        (X, Y, Z) float32.
    affine
        Voxel to scanner millimetres, RAS+, (4, 4).

    Raises
    ------
    ConfigError
        The reference shows nothing that could be aligned.
    """
    data = np.ascontiguousarray(reference, dtype=np.float32)
    levels = tuple(_level(data, affine, *level) for level in (*COARSE, FINE))
    return Reference(centre_mm(data.shape, affine), levels)
