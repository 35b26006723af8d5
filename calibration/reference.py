"""The mean EPI of a run: what later volumes are realigned to, and what is registered to MNI."""

from collections.abc import Sequence

import numpy as np

from calibration.progress import Progress
from rtdecode.stages import realign, reference, resample
from rtdecode.stages.rigid import motion_matrix
from rtdecode.types import Float32, Float64, Volume

N_VOLUMES = 20
"""Enough to average the noise away, few enough for the head to have stayed nearly still."""


def mean_epi(volumes: Sequence[Volume], progress: Progress) -> tuple[Float32, Float64]:
    """Average volumes from the run's start, realigned to the first of them.

    The run's first tenth, `N_VOLUMES` at most, is passed over: magnetisation may still settle.

    Parameters
    ----------
    volumes
        In temporal order.
    progress
        Told how many volumes were averaged.

    Returns
    -------
    (X, Y, Z) mean on the grid of the first volume averaged, and that grid's affine
    """
    start = min(len(volumes) // 10, N_VOLUMES)
    chosen = volumes[start : start + N_VOLUMES]
    first = chosen[0]
    target = reference.build(first.data, first.affine)
    voxels = np.indices(first.data.shape).reshape(3, -1).T
    points_mm = (voxels @ first.affine[:3, :3].T + first.affine[:3, 3]).astype(np.float32)
    total = np.zeros(len(points_mm))
    state = realign.initial_state()
    for done, volume in enumerate(chosen, start=1):
        state, motion, _ = realign.step(target, state, volume.data, volume.affine)
        moved = motion_matrix(motion, target.centre_mm)
        total += resample.step(volume.data, volume.affine, moved, points_mm)[0]
        progress("average the EPI", done, len(chosen))
    mean = (total / len(chosen)).reshape(first.data.shape)
    return mean.astype(np.float32), np.array(first.affine)
