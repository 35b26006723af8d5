"""Prepared runs, and the preparation of one run."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.data.mean_epi import N_VOLUMES
from calibration.networks.features import Extractor
from calibration.progress import Progress
from calibration.registration import Registration
from rtdecode.stages import Preparation, Space
from rtdecode.types import Bool, Float32, Prepared, State, Volume

PREPARATION = "preparation/"
"""Prefix of the preparation's arrays in a bundle's initial state."""
SPREAD_SHARE = 2 / 3
"""Share of a run from which the spread of each voxel is estimated. During an acquisition, the
volumes can then be prepared before the run ends."""
LEARN, SERVE = "learn the voxels' spread", "prepare as served"
ExtractorFactory = Callable[[Bool], Extractor]
"""Makes a feature extractor from the mask of the decoder's voxels."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRuns:
    """Runs prepared as they would be served."""

    stages: Preparation
    space: Space
    initial: State
    registration: Registration | None
    """None if it is that of an earlier bundle."""
    registration_method: str
    registration_overlap: float
    prepared: tuple[tuple[Prepared, ...], ...]
    """The prepared volumes of each run."""
    features: Mapping[int, Float32]
    """Features of each layer of the network for all volumes, (n, F); empty if not needed."""
    extract: Extractor | None
    """The extractor of these features."""


def spread_volumes(total: int) -> int:
    """Return the number of first volumes from which the spread of each voxel is estimated."""
    return min(total, max(math.ceil(SPREAD_SHARE * total), min(total // 10, N_VOLUMES) + N_VOLUMES))


def prepare_run(
    stages: Preparation, state: State, volumes: Sequence[Volume], progress: Progress, step: str
) -> tuple[list[Prepared], State]:
    """Prepare a run exactly as it is served; return the prepared volumes and the last state."""
    prepared = []
    previous = volumes[0].index - 1
    for done, volume in enumerate(volumes, start=1):
        state, output = stages.step(state, volume, volume.index - previous)
        previous = volume.index
        prepared.append(output)
        progress(step, done, len(volumes))
    return prepared, state


def pooled_spread(spreads: Sequence[Float32]) -> Float32:
    """Return one spread for several runs: the root of the mean variance."""
    return np.sqrt(np.mean(np.square(spreads), axis=0)).astype(np.float32)
