"""Causal detrending and z-scoring: a local level and spread per voxel, predicted then updated.

What a voxel is expected to be is the mean of its past with memory `memory_s`; what it is now is
expressed as its distance from that, in units of how far it usually is. Only the past enters, so a
volume never explains itself away (a flexible basis refitted up to the present does). The level is
an exponentially weighted mean (West 1979) that starts as the plain mean; the spread comes from the
prediction errors themselves (recursive residuals, Brown, Durbin & Evans 1975), which makes the
z of white noise have unit variance from the first volumes on. The spread remembers much longer than
the level: it hardly changes, and in a memory of 40 s (20 volumes) it would err by a sixth and grow
with the task's own signal.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from rtdecode.stages.smooth import read_only
from rtdecode.types import Float32, State

Z_BOUND = 8.0
"""z is clipped here: a BOLD response is within 4, and what is beyond 8 is an artefact."""
SPREAD_FLOOR = 1e-4
"""Of the mean level over the mask. A voxel that varies by less (a temporal SNR above 10,000) holds
no measurement, and gets z = 0."""
LEVEL_VOLUMES = 4
"""How many volumes a level needs before z means anything."""
SPREAD_VOLUMES = 8
"""How many a spread needs: with 8, its own error is a quarter of it."""


@dataclass(frozen=True, slots=True)
class NormaliseSettings:
    """How long the past counts."""

    repetition_time_s: float
    memory_s: float = 60.0
    """Time constant of the level: the weight of a volume falls to 1/e in this time."""
    spread_memory_s: float = 600.0
    """The same for the spread: over a run or two, noise may change with the person's rest."""
    ready_after_s: float = 20.0
    """Time to learn the spread in, at least `SPREAD_VOLUMES` volumes."""

    @property
    def retention(self) -> float:
        """What is left of a volume's weight in the level one repetition time later."""
        return float(np.exp(-self.repetition_time_s / self.memory_s))

    @property
    def spread_retention(self) -> float:
        """What is left of a volume's weight in the spread one repetition time later."""
        return float(np.exp(-self.repetition_time_s / self.spread_memory_s))

    @property
    def spread_volumes(self) -> int:
        """How many volumes the spread is learnt from before z is used."""
        return max(SPREAD_VOLUMES, int(np.ceil(self.ready_after_s / self.repetition_time_s - 1e-6)))


def initial_state(settings: NormaliseSettings, voxels: int, spread: Float32 | None = None) -> State:
    """Return the state before a run's first volume.

    Parameters
    ----------
    voxels
        In the mask.
    spread
        (voxels,) standard deviation of each voxel in an earlier run of the same person, as
        `spread_of` gives it. It counts as a full memory's worth of volumes and is forgotten as they
        are, and the run is ready as soon as its level is (`LEVEL_VOLUMES`).
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


def ready(settings: NormaliseSettings, state: State) -> bool:
    """Say whether the z of the next volume will mean anything."""
    return bool(
        state["level_volumes"] >= LEVEL_VOLUMES
        and state["spread_volumes"] >= settings.spread_volumes
    )


def spread_of(state: State) -> Float32:
    """Return the standard deviation learnt so far, (voxels,)."""
    return np.sqrt(state["variance"])


def restart(state: State) -> State:
    """Return the state with the level forgotten and the spread kept.

    For a signal that has stepped to another level, as while magnetisation approaches its steady
    state: the past says nothing about it any more.
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
    """Predict, then update; return the sum of the new levels."""
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
    """Score one volume against its past, then let it become past.

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
        Of the volume before; not changed.
    values
        (voxels,) float32.
    elapsed
        Volumes since the previous call, 1 where none is missing: gaps age the memory.
    learn
        False for a volume that must not become past (head motion, a signal drop). It is scored and
        the memory only ages, so when learning goes on after a long time the level moves at once.

    Returns
    -------
    state : State
    z : ndarray
        (voxels,) float32 within +-`Z_BOUND`; 0 in voxels that hold no measurement. It means
        something only if `ready` said so before.
    """
    since = int(state["since"]) + elapsed
    error = float(state["level_error"])
    first = state["level_volumes"] == 0
    most = settings.retention**since / (1 - settings.retention)
    level_weight = min(float(state["level_weight"]), most) + 1
    most = settings.spread_retention**since / (1 - settings.spread_retention)
    spread_weight = min(float(state["spread_weight"]), most) + (0 if first else 1)
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
