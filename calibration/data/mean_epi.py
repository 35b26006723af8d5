"""The mean EPI of a run, to which volumes are realigned and which is registered to MNI."""

from collections.abc import Sequence

import numpy as np

from calibration.registration.image_geometry import apply_affine
from rtdecode.stages import realign, reference, resample
from rtdecode.stages.rigid import motion_matrix
from rtdecode.types import Float32, Float64, Motion, Volume

N_VOLUMES = 20
"""Enough volumes to average out noise, and few enough that the head hardly moves."""

TRANSLATION_DECIMALS, ROTATION_DECIMALS = 2, 4
"""Motion is rounded to 0.01 mm and 0.0001 rad, about 0.01 mm at the edge of the
head. Its last bits depend on the CPU's matrix products, and registration would amplify them."""


def mean_epi(chosen: Sequence[Volume]) -> tuple[Float32, Float64]:
    """Average volumes realigned to the first of them; the result is bit-identical on every CPU.

    Parameters
    ----------
    chosen
        Volumes in temporal order: `N_VOLUMES` after the first tenth of the run, in which the
        magnetisation may not be steady.

    Returns
    -------
    (X, Y, Z) mean on the grid of the first volume averaged, and that grid's affine
    """
    first = chosen[0]
    target = reference.build(first.data, first.affine)
    voxels = np.indices(first.data.shape, dtype=np.float64).reshape(3, -1).T
    points_mm = apply_affine(first.affine, voxels).astype(np.float32)
    total = np.zeros(len(points_mm))
    state = realign.initial_state()
    for volume in chosen:
        state, motion, _ = realign.step(target, state, volume.data, volume.affine)
        motion_affine = motion_matrix(_rounded(motion), target.centre_mm)
        total += resample.step(volume.data, volume.affine, motion_affine, points_mm)[0]
    mean = (total / len(chosen)).reshape(first.data.shape)
    return mean.astype(np.float32), np.array(first.affine)


def _rounded(motion: Motion) -> Motion:
    values = motion.as_array()
    translation = np.round(values[:3], TRANSLATION_DECIMALS)
    return Motion.from_array(np.concatenate([translation, np.round(values[3:], ROTATION_DECIMALS)]))
