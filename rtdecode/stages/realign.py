"""Rigid realignment to the reference EPI by Gauss-Newton, with all slow steps done beforehand.

The inverse-compositional form (Baker & Matthews, IJCV 2004) moves the reference a little instead
of the volume, so gradients and normal matrix belong to the reference and are constant. As in SPM
(Friston et al. 1995; Ashburner & Friston 2003) the sum of squares includes an intensity gain. The
reference is sampled off its own grid, which removes most of the interpolation bias towards whole
voxels.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from rtdecode.errors import VolumeError
from rtdecode.stages.reference import (
    MINIMUM_SAMPLES,
    Level,
    Reference,
    edge_margin,
    smooth_to_fwhm,
)
from rtdecode.stages.rigid import matrix_motion, motion_matrix, rotation
from rtdecode.stages.smooth import read_only
from rtdecode.types import Float32, Float64, Motion, State

CONVERGED_MM = 0.005
"""Iteration stops when no point of the head moves by more than this."""
HEAD_RADIUS_MM = 80.0
TRACKING_ITERATIONS = 8
MINIMUM_OVERLAP = 0.25
"""Minimum fraction of the samples; a smaller part of the head can be matched anywhere."""
COARSE_ITERATIONS = 30
LOST_CORRELATION = 0.7
"""Below this correlation with the reference, realignment is lost."""


@njit(cache=True, nogil=True)
def _project(
    image: Float32,
    matrix: Float64,
    margin: Float64,
    points: Float32,
    design: Float32,
    moment: Float64,
    missing: Float64,
    sums: Float64,
) -> None:
    """Sample the volume at the reference's samples and project onto the design.

    Adds design' v over the samples inside to `moment` (7,), design' design over those outside to
    `missing` (7, 7), and n, v, v^2, r, r^2, r v to `sums` (6,), r being the reference.
    """
    nx, ny, nz = image.shape
    one, sixth = np.float32(1), np.float32(1 / 6)
    three, four, six = np.float32(3), np.float32(4), np.float32(6)
    offset = np.empty(3, np.float32)
    weight = np.empty((3, 4), np.float32)
    for n in range(points.shape[0]):
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        x = matrix[0, 0] * px + matrix[0, 1] * py + matrix[0, 2] * pz + matrix[0, 3]
        y = matrix[1, 0] * px + matrix[1, 1] * py + matrix[1, 2] * pz + matrix[1, 3]
        z = matrix[2, 0] * px + matrix[2, 1] * py + matrix[2, 2] * pz + matrix[2, 3]
        if not (
            margin[0] <= x <= nx - 1 - margin[0]
            and margin[1] <= y <= ny - 1 - margin[1]
            and margin[2] <= z <= nz - 1 - margin[2]
        ):
            for a in range(7):
                for b in range(7):
                    missing[a, b] += design[n, a] * design[n, b]
            continue
        i, j, k = int(x), int(y), int(z)
        offset[0], offset[1], offset[2] = x - i, y - j, z - k
        for axis in range(3):
            t = offset[axis]
            u = one - t
            weight[axis, 0] = u * u * u * sixth
            weight[axis, 1] = ((three * t - six) * t * t + four) * sixth
            weight[axis, 2] = ((three * u - six) * u * u + four) * sixth
            weight[axis, 3] = t * t * t * sixth
        k0, k2, k3 = max(k - 1, 0), min(k + 1, nz - 1), min(k + 2, nz - 1)
        v = np.float32(0)
        for a in range(4):
            ia = min(max(i - 1 + a, 0), nx - 1)
            for b in range(4):
                jb = min(max(j - 1 + b, 0), ny - 1)
                v += (weight[0, a] * weight[1, b]) * (
                    weight[2, 0] * image[ia, jb, k0]
                    + weight[2, 1] * image[ia, jb, k]
                    + weight[2, 2] * image[ia, jb, k2]
                    + weight[2, 3] * image[ia, jb, k3]
                )
        for a in range(7):
            moment[a] += design[n, a] * np.float64(v)
        r = np.float64(design[n, 6])
        sums[0] += 1
        sums[1] += v
        sums[2] += np.float64(v) * v
        sums[3] += r
        sums[4] += r * r
        sums[5] += r * v


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Result of Gauss-Newton."""

    transform: Float64
    correlation: float
    converged: bool


def _correlation(sums: Float64) -> float:
    n, v, vv, r, rr, rv = (float(s) for s in sums)
    spread = (n * vv - v * v) * (n * rr - r * r)
    return (n * rv - r * v) / float(np.sqrt(spread)) if spread > 0 else 0.0


def _gauss_newton(
    level: Level,
    centre: Float64,
    smoothed: Float32,
    affine: Float64,
    start: Float64,
    iterations: int,
) -> _Fit:
    """Iterate from the (4, 4) transform `start`."""
    inverse_affine = np.linalg.inv(affine)
    margin = edge_margin(smoothed.shape, affine)
    transform, correlation, converged = start, 0.0, False
    for _ in range(iterations):
        moment, missing, sums = np.zeros(7), np.zeros((7, 7)), np.zeros(6)
        _project(
            read_only(smoothed),
            (inverse_affine @ transform)[:3],
            margin,
            level.points_mm,
            level.design,
            moment,
            missing,
            sums,
        )
        if not np.isfinite(sums).all():
            raise VolumeError("volume: intensities must be finite, and some are not")
        correlation = _correlation(sums)
        if sums[0] < max(MINIMUM_SAMPLES, MINIMUM_OVERLAP * len(level.points_mm)):
            return _Fit(transform, 0.0, converged=False)
        # If no sample is outside, this is the constant pseudo-inverse times the volume.
        solution = (
            np.linalg.lstsq(level.normal - missing, moment, rcond=None)[0]
            if missing.any()
            else level.inverse @ moment
        )
        if solution[6] <= 0:
            return _Fit(transform, 0.0, converged=False)
        change = solution[:6] / solution[6]
        turn = rotation(*change[3:])
        update = np.eye(4)
        update[:3, :3] = turn
        update[:3, 3] = centre + change[:3] - turn @ centre
        transform = transform @ np.linalg.inv(update)
        reach = np.linalg.norm(change[:3]) + HEAD_RADIUS_MM * np.linalg.norm(change[3:])
        if reach < CONVERGED_MM:
            converged = True
            break
    return _Fit(transform, correlation, converged)


def _search(reference: Reference, data: Float32, affine: Float64, start: Float64) -> _Fit:
    """Realign over a large distance, coarse to fine."""
    transform, fit = start, _Fit(start, 0.0, converged=False)
    for level in reference.levels:
        smoothed = smooth_to_fwhm(data, affine, level.fwhm_mm)
        fit = _gauss_newton(
            level, reference.centre_mm, smoothed, affine, transform, COARSE_ITERATIONS
        )
        transform = fit.transform
    return fit


def initial_state() -> State:
    """Return the state before a run's first volume."""
    return {"motion": np.zeros(6), "tracking": np.zeros((), np.int64)}


def step(
    reference: Reference, state: State, data: Float32, affine: Float64
) -> tuple[State, Motion, float]:
    """Realign one volume.

    Parameters
    ----------
    reference
        Result of `reference.build`.
    state
        State after the previous volume; not changed.
    data
        (X, Y, Z) float32, C-contiguous.
    affine
        Voxel to scanner millimetres of this volume, (4, 4); may differ from the reference's.

    Returns
    -------
    state : State
        State with this volume's motion as the start for the next, unless realignment was lost.
    motion : Motion
        Motion from reference to volume.
    correlation : float
        Correlation of the smoothed volume with the reference; below `LOST_CORRELATION` the motion
        is the last known one.

    Raises
    ------
    VolumeError
        The volume has intensities that are not finite.
    """
    fine = reference.levels[-1]
    start = motion_matrix(Motion.from_array(state["motion"]), reference.centre_mm)
    fit = _Fit(start, 0.0, converged=False)
    if state["tracking"]:
        smoothed = smooth_to_fwhm(data, affine, fine.fwhm_mm)
        fit = _gauss_newton(fine, reference.centre_mm, smoothed, affine, start, TRACKING_ITERATIONS)
    if not fit.converged or fit.correlation < LOST_CORRELATION:
        fit = _search(reference, data, affine, start)
    if fit.correlation < LOST_CORRELATION:
        return state, Motion.from_array(state["motion"]), fit.correlation
    motion = matrix_motion(fit.transform, reference.centre_mm)
    return {"motion": motion.as_array(), "tracking": np.ones((), np.int64)}, motion, fit.correlation
