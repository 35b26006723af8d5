"""How far a volume can be trusted: motion, DVARS, temporal SNR, signal drop."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from rtdecode.stages.smooth import read_only
from rtdecode.types import Float32, Float64, Quality, State

HEAD_RADIUS_MM = 50.0
"""Rotations count as the arc on a sphere of this radius (Power et al. 2012)."""
SNR_VOXELS = 8192
"""Temporal SNR is the median over about this many voxels, evenly spread through the mask."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """What makes a volume unusable."""

    framewise_displacement_mm: float = 0.9
    """The limit of Siegel et al. 2014 for task fMRI: it keeps ordinary breathing and swallowing
    in, and censoring more strictly took away more statistical power than it gave."""
    signal_drop: float = 0.05
    """Change of the mask's mean signal, a fraction either way; physiology and BOLD: below 2 %."""
    outside: float = 0.1
    """Fraction of the mask that the reference's field of view holds and this volume's does not."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the other stages found out about a volume."""

    motion: Float64
    """(6,) mm and rad."""
    lost: bool
    """Realignment failed."""
    outside: float
    """Fraction of the mask outside the field of view, beyond what the reference lacks too."""
    ready: bool
    """The online statistics mean something."""


def framewise_displacement(motion: Float64, previous: Float64) -> float:
    """Return the framewise displacement in mm of Power et al. 2012, from (6,) mm and rad."""
    change = np.abs(motion - previous)
    return float(change[:3].sum() + HEAD_RADIUS_MM * change[3:].sum())


def initial_state(voxels: int) -> State:
    """Return the state before a run's first volume, for a mask of so many voxels."""
    sample = len(range(0, voxels, _stride(voxels)))
    return {
        "previous": np.zeros(voxels, np.float32),
        "motion": np.zeros(6),
        "volumes": np.zeros((), np.int64),
        "signal": np.zeros(()),
        "signal_weight": np.zeros(()),
        "snr_mean": np.zeros(sample),
        "snr_squares": np.zeros(sample),
        "snr_volumes": np.zeros((), np.int64),
    }


def _stride(voxels: int) -> int:
    return max(1, voxels // SNR_VOXELS)


@njit(cache=True, nogil=True)
def _compare(values: Float32, previous: Float32) -> tuple[float, float]:
    """Return the sum of `values` and the sum of squared differences."""
    total, squares = 0.0, 0.0
    for i in range(values.size):
        change = np.float64(values[i]) - np.float64(previous[i])
        total += values[i]
        squares += change * change
    return total, squares


def settling(why: tuple[str, ...]) -> bool:
    """Say whether a volume marks a new start of the statistics.

    Before they are ready, a step in the signal is magnetisation on its way to its steady state (or
    another accident that is over): what came before it says nothing about what comes after.
    """
    return "not_ready" in why and not {"signal_drop", "signal_rise"}.isdisjoint(why)


def learnable(why: tuple[str, ...]) -> bool:
    """Say whether a volume with these reasons may enter the statistics."""
    return set(why) <= {"not_ready"} or settling(why)


def _forget(state: State) -> State:
    """Return the state with the signal's mean and the temporal SNR forgotten."""
    forgotten = {"signal_weight": np.zeros(()), "snr_volumes": np.zeros((), np.int64)}
    zeros = {name: np.zeros_like(state[name]) for name in ("snr_mean", "snr_squares")}
    return state | forgotten | zeros


def _temporal_snr(state: State) -> float:
    """Return the median of mean / standard deviation over the sampled voxels that vary."""
    volumes = int(state["snr_volumes"])
    varying = state["snr_squares"] > 0
    if volumes < 2 or not varying.any():
        return float("nan")
    deviation = np.sqrt(state["snr_squares"][varying] / (volumes - 1))
    return float(np.median(state["snr_mean"][varying] / deviation))


def _learn_snr(state: State, values: Float32) -> State:
    """Welford's update of mean and sum of squares of the sampled voxels."""
    sample = values[:: _stride(values.size)].astype(np.float64)
    volumes = np.asarray(state["snr_volumes"] + 1)
    change = sample - state["snr_mean"]
    mean = state["snr_mean"] + change / volumes
    squares = state["snr_squares"] + change * (sample - mean)
    return state | {"snr_mean": mean, "snr_squares": squares, "snr_volumes": volumes}


def step(
    limits: QualityLimits,
    retention: float,
    state: State,
    values: Float32,
    measured: Measured,
    elapsed: int = 1,
) -> tuple[State, Quality]:
    """Judge one volume.

    Parameters
    ----------
    retention
        What is left of a volume's weight one repetition time later in the mean signal that
        `signal_drop` compares with. That mean follows every volume, so that a lasting change of
        gain is forgiven with time instead of silencing the rest of the run.
    state
        Of the volume before; not changed.
    values
        (voxels,) realigned, resampled and smoothed intensities.
    elapsed
        Volumes since the previous call.

    Returns
    -------
    state : State
    quality : Quality
        `why` names, of `not_ready`, `motion`, `realignment`, `field_of_view`, `signal_drop` and
        `signal_rise`, all that apply.
    """
    first = state["volumes"] == 0
    total, squares = _compare(read_only(values), read_only(state["previous"]))
    signal, mean = total / values.size, float(state["signal"])
    known = not first and mean > 0
    drop = 1 - signal / mean if known else 0.0
    displacement = 0.0 if first else framewise_displacement(measured.motion, state["motion"])
    reasons = {
        "not_ready": not measured.ready,
        "motion": displacement > limits.framewise_displacement_mm,
        "realignment": measured.lost,
        "field_of_view": measured.outside > limits.outside,
        "signal_drop": drop > limits.signal_drop,
        "signal_rise": drop < -limits.signal_drop,
    }
    why = tuple(reason for reason, applies in reasons.items() if applies)
    past = _forget(state) if settling(why) else state
    most = retention**elapsed / (1 - retention)
    weight = min(float(past["signal_weight"]), most) + 1
    after = past | {
        "previous": values,
        "motion": measured.motion,
        "volumes": np.asarray(state["volumes"] + 1),
        "signal": np.array(mean + (signal - mean) / weight),
        "signal_weight": np.array(weight),
    }
    if learnable(why):
        after = _learn_snr(after, values)
    quality = Quality(
        framewise_displacement=displacement,
        dvars=100 * float(np.sqrt(squares / values.size)) / mean if known else 0.0,
        temporal_snr=_temporal_snr(after),
        signal_drop=drop,
        usable=not why,
        why=why,
    )
    return after, quality
