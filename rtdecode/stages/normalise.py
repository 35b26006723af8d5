"""Causal detrending and z-scoring: each voxel has a level and a spread that are updated online.

The level predicts a voxel's value as the mean of its past with memory `memory_s`. z is the
deviation of the new value from the level, in units of the spread. Only the past enters, so a volume
does not remove its own signal (as a flexible basis refitted up to the present does). The level is
an exponentially weighted mean (West 1979) that starts as the plain mean. The spread comes from the
prediction errors (recursive residuals, Brown, Durbin & Evans 1975), so that the z of white noise
has unit variance from the first volumes on. The memory of the spread is much longer than that of
the level, because the spread hardly changes: with a memory of 40 s (20 volumes) its error would be
a sixth, and it would grow with the task's own signal.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from rtdecode.stages.smooth import read_only
from rtdecode.types import Float32, State

Z_BOUND = 8.0
"""Limit at which z is clipped: a BOLD response is within 4, values beyond 8 are artefacts."""
SPREAD_FLOOR = 1e-4
"""Fraction of the mean level over the mask. A voxel with a smaller spread (a temporal SNR above
10,000) has no measurement and gets z = 0."""
LEVEL_VOLUMES = 4
"""Minimum number of volumes for a meaningful level."""
SPREAD_VOLUMES = 8
"""Minimum number of volumes for the spread: with 8, its relative error is a quarter."""


@dataclass(frozen=True, slots=True)
class NormaliseSettings:
    """Time constants of the level and the spread."""

    repetition_time_s: float
    memory_s: float = 60.0
    """Time constant of the level: the weight of a volume falls to 1/e in this time."""
    spread_memory_s: float = 600.0
    """Time constant of the spread; the noise of a person may change over one or two runs."""
    ready_after_s: float = 20.0
    """Time to learn the spread, at least `SPREAD_VOLUMES` volumes."""

    @property
    def retention(self) -> float:
        """Fraction of a volume's weight in the level that remains after one repetition time."""
        return float(np.exp(-self.repetition_time_s / self.memory_s))

    @property
    def spread_retention(self) -> float:
        """Fraction of a volume's weight in the spread that remains after one repetition time."""
        return float(np.exp(-self.repetition_time_s / self.spread_memory_s))

    @property
    def spread_volumes(self) -> int:
        """Number of volumes to learn the spread from before z is used."""
        return max(SPREAD_VOLUMES, int(np.ceil(self.ready_after_s / self.repetition_time_s - 1e-6)))


def initial_state(settings: NormaliseSettings, voxels: int, spread: Float32 | None = None) -> State:
    """Return the state before a run's first volume.

    Parameters
    ----------
    voxels
        Number of voxels in the mask.
    spread
        (voxels,) standard deviation of each voxel in an earlier run of the same person, from
        `spread_of`. It has the weight of a full memory and is forgotten at the same rate. The run
        is ready as soon as its level is (`LEVEL_VOLUMES`).
    """
    known = spread is not None
    variance = np.zeros(voxels, np.float32) if spread is None else np.square(spread)
    full = settings.spread_retention / (1 - settings.spread_retention)
    return {
        "level": np.zeros(voxels, np.float32),
        "variance": np.ascontiguousarray(variance, dtype=np.float32),
        "level_weight": np.zeros(()),
        "level_error": np.ones(()),
        "spread_weight": np.array(full if known else 0.0),
        "level_volumes": np.zeros((), np.int64),
        "spread_volumes": np.array(settings.spread_volumes if known else 0, np.int64),
        "since": np.zeros((), np.int64),
        "mean_level": np.zeros(()),
    }


def is_ready(settings: NormaliseSettings, state: State) -> bool:
    """Return whether the z of the next volume will be meaningful."""
    return bool(
        state["level_volumes"] >= LEVEL_VOLUMES
        and state["spread_volumes"] >= settings.spread_volumes
    )


def spread_of(state: State) -> Float32:
    """Return the standard deviation learnt so far, (voxels,)."""
    return np.sqrt(state["variance"])


def restart(state: State) -> State:
    """Return the state with the level reset and the spread unchanged.

    This is for a signal that has jumped to another level, for example while magnetisation
    approaches its steady state: the past no longer predicts it.
    """
    return state | {
        "level_weight": np.zeros(()),
        "level_error": np.ones(()),
        "level_volumes": np.zeros((), np.int64),
    }


@njit(cache=True, nogil=True)
def _normalise(
    x: Float32,
    level: Float32,
    variance: Float32,
    z: Float32,
    new_level: Float32,
    new_variance: Float32,
    error_variance: float,
    level_gain: float,
    spread_gain: float,
    floor: float,
    bound: float,
) -> float:
    """Compute z, update level and variance, and return the sum of the new levels."""
    scale = np.float32(error_variance)
    to_level, to_spread = np.float32(level_gain), np.float32(spread_gain)
    least, most = np.float32(floor * floor), np.float32(bound)
    zero = np.float32(0)
    total = 0.0
    for i in range(x.size):
        error = x[i] - level[i]
        expected = variance[i] * scale
        score = error / np.sqrt(max(expected, least)) if variance[i] > least else zero
        z[i] = min(max(score, -most), most)
        new_level[i] = level[i] + to_level * error
        new_variance[i] = variance[i] + to_spread * (error * error / scale - variance[i])
        total += new_level[i]
    return total


def step(
    settings: NormaliseSettings,
    state: State,
    values: Float32,
    elapsed: int = 1,
    *,
    learn: bool = True,
) -> tuple[State, Float32]:
    """Compute z of one volume from its past, then add the volume to the past.

    With weights W of the level and V of the spread, S the variance of the level's own error in
    units of a volume's, and r^k, s^k the retention of level and spread over the k volumes since the
    last update::

        z      = (x - level) / sqrt(variance (1 + S))
        W      = min(W, r^k / (1 - r)) + 1          plain mean at first, then exponential
        level += (x - level) / W
        V      = min(V, s^k / (1 - s)) + 1          from the second volume on
        variance += ((x - level_before)^2 / (1 + S) - variance) / V
        S      = (1 - 1/W)^2 S + 1/W^2

    Parameters
    ----------
    state
        State after the previous volume; not changed.
    values
        (voxels,) float32.
    elapsed
        Volumes since the previous call, 1 if none is missing. Gaps age the memory.
    learn
        False for a volume that must not enter the past (head motion, a signal drop). It gets a z
        and the memory ages, so that after a long time the next learnt volume changes the level
        quickly.

    Returns
    -------
    state : State
    z : ndarray
        (voxels,) float32 within +-`Z_BOUND`; 0 in voxels without a measurement. It is meaningful
        only if `is_ready` was true before.
    """
    since = int(state["since"]) + elapsed
    error = float(state["level_error"])
    first = state["level_volumes"] == 0
    max_weight = settings.retention**since / (1 - settings.retention)
    level_weight = min(float(state["level_weight"]), max_weight) + 1
    max_weight = settings.spread_retention**since / (1 - settings.spread_retention)
    spread_weight = min(float(state["spread_weight"]), max_weight) + (0 if first else 1)
    z, level, variance = (np.empty(values.size, np.float32) for _ in range(3))
    total = _normalise(
        read_only(values),
        read_only(state["level"]),
        read_only(state["variance"]),
        z,
        level,
        variance,
        1 + error,
        1 / level_weight if learn else 0.0,
        1 / spread_weight if learn and not first else 0.0,
        SPREAD_FLOOR * abs(float(state["mean_level"])),
        Z_BOUND,
    )
    if not learn:
        return state | {"since": np.array(since, np.int64)}, z
    gain = 1 / level_weight
    return {
        "level": level,
        "variance": variance,
        "level_weight": np.array(level_weight),
        "level_error": np.array((1 - gain) ** 2 * (0.0 if first else error) + gain**2),
        "spread_weight": np.array(spread_weight),
        "level_volumes": np.asarray(state["level_volumes"] + 1),
        "spread_volumes": np.asarray(state["spread_volumes"] + (0 if first else 1)),
        "since": np.zeros((), np.int64),
        "mean_level": np.array(total / values.size),
    }, z
