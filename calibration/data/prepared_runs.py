"""Runs that have passed the serving stages, and the passes that make them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.data.mean_epi import N_VOLUMES
from calibration.networks.features import Step
from calibration.progress import Progress
from calibration.registration import Registration
from rtdecode.stages import Preparation, Space
from rtdecode.types import Bool, Float32, Prepared, State, Volume

PREPARATION = "preparation/"
"""What its part of a bundle's initial state is called."""
SPREAD_SHARE = 2 / 3
"""Part of a run from which the spread of its voxels is learnt. What comes later need not wait for
the end of the run: while it is acquired, volumes are prepared as they will be served."""
LEARN, SERVE = "learn the voxels' spread", "prepare as served"
Extract = Callable[[Bool], Step]
"""From the mask of the decoder's voxels to what extracts the features of a prepared volume."""


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """Runs that have passed the serving stages."""

    stages: Preparation
    space: Space
    initial: State
    registration: Registration | None
    """None: that of an earlier bundle."""
    registration_method: str
    registration_overlap: float
    prepared: tuple[tuple[Prepared, ...], ...]
    """Of each run."""
    features: Mapping[int, Float32]
    """What each layer of the network says of all these volumes, (n, F); empty if not wanted."""
    extract: Step | None
    """What extracted them."""


def spread_volumes(total: int) -> int:
    """Return from how many first volumes of a run the spread of its voxels is learnt."""
    return min(total, max(math.ceil(SPREAD_SHARE * total), min(total // 10, N_VOLUMES) + N_VOLUMES))


def walk(
    stages: Preparation, state: State, volumes: Sequence[Volume], progress: Progress, step: str
) -> tuple[list[Prepared], State]:
    """Prepare a run exactly as it is served; return its prepared volumes and the last state."""
    prepared = []
    previous = volumes[0].index - 1
    for done, volume in enumerate(volumes, start=1):
        state, one = stages.step(state, volume, volume.index - previous)
        previous = volume.index
        prepared.append(one)
        progress(step, done, len(volumes))
    return prepared, state


def pooled_spread(spreads: Sequence[Float32]) -> Float32:
    """Return one spread for several runs: the root of the mean variance."""
    return np.sqrt(np.mean(np.square(spreads), axis=0)).astype(np.float32)
