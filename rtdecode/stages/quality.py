"""Quality of a volume: motion, DVARS, temporal SNR, signal drop."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from rtdecode.stages.smooth import read_only
from rtdecode.types import Float32, Float64, Quality, State

HEAD_RADIUS_MM = 50.0
"""Radius of the sphere on which rotations count as arcs (Power et al. 2012)."""
SNR_VOXELS = 8192
"""Approximate number of voxels, evenly spaced in the mask, for the median temporal SNR."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Limits above which a volume is unusable."""

    framewise_displacement_mm: float = 0.9
    """Limit of Siegel et al. 2014 for task fMRI. It accepts ordinary breathing and swallowing; a
    stricter limit cost more statistical power than it gained."""
    signal_drop: float = 0.05
    """Relative change of the mask's mean signal, in both directions; physiology and BOLD change it
    by less than 2 %."""
    outside: float = 0.1
    """Fraction of the mask inside the reference's field of view but outside this volume's."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Results of the other stages for one volume."""

    motion: Float64
    """Motion parameters, (6,) mm and rad."""
    lost: bool
    """Whether realignment failed."""
    outside: float
    """Fraction of the mask outside the field of view, minus the same fraction of the reference."""
    ready: bool
    """Whether the online statistics are meaningful."""


def framewise_displacement(motion: Float64, previous: Float64) -> float:
    """Return the framewise displacement in mm of Power et al. 2012, from (6,) mm and rad."""
    change = np.abs(motion - previous)
    return float(change[:3].sum() + HEAD_RADIUS_MM * change[3:].sum())


def initial_state(voxels: int) -> State:
    """Return the state before a run's first volume, for a mask of `voxels` voxels."""
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


def restarts_statistics(why: tuple[str, ...]) -> bool:
    """Return whether the statistics restart at a volume with these reasons.

    Before they are ready, a jump of the signal is magnetisation that approaches its steady state
    (or another event that is over): earlier volumes do not predict later ones.
    """
    return "not_ready" in why and not {"signal_drop", "signal_rise"}.isdisjoint(why)


def enters_statistics(why: tuple[str, ...]) -> bool:
    """Return whether a volume with these reasons enters the statistics."""
    return set(why) <= {"not_ready"} or restarts_statistics(why)


def _forget(state: State) -> State:
    """Return the state with the mean signal and the temporal SNR reset."""
    reset = {"signal_weight": np.zeros(()), "snr_volumes": np.zeros((), np.int64)}
    zeros = {name: np.zeros_like(state[name]) for name in ("snr_mean", "snr_squares")}
    return state | reset | zeros


def _temporal_snr(state: State) -> float:
    """Return the median of mean / standard deviation over the sampled voxels that vary."""
    volumes = int(state["snr_volumes"])
    varying = state["snr_squares"] > 0
    if volumes < 2 or not varying.any():
        return float("nan")
    deviation = np.sqrt(state["snr_squares"][varying] / (volumes - 1))
    return float(np.median(state["snr_mean"][varying] / deviation))


def _learn_snr(state: State, values: Float32) -> State:
    """Update mean and sum of squares of the sampled voxels by Welford's method."""
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
    measurements: Measurements,
    elapsed: int = 1,
) -> tuple[State, Quality]:
    """Compute the quality of one volume.

    Parameters
    ----------
    retention
        Fraction of a volume's weight that remains after one repetition time in the mean signal,
        which is the reference of `signal_drop`. This mean follows every volume. Therefore volumes
        become usable again some time after a lasting change of gain.
    state
        State after the previous volume; not changed.
    values
        (voxels,) realigned, resampled and smoothed intensities.
    elapsed
        Volumes since the previous call.

    Returns
    -------
    state : State
    quality : Quality
        `why` contains all reasons that apply: `not_ready`, `motion`, `realignment`,
        `field_of_view`, `signal_drop`, `signal_rise`.
    """
    first = state["volumes"] == 0
    total, squares = _compare(read_only(values), read_only(state["previous"]))
    signal, mean = total / values.size, float(state["signal"])
    known = not first and mean > 0
    drop = 1 - signal / mean if known else 0.0
    displacement = 0.0 if first else framewise_displacement(measurements.motion, state["motion"])
    reasons = {
        "not_ready": not measurements.ready,
        "motion": displacement > limits.framewise_displacement_mm,
        "realignment": measurements.lost,
        "field_of_view": measurements.outside > limits.outside,
        "signal_drop": drop > limits.signal_drop,
        "signal_rise": drop < -limits.signal_drop,
    }
    why = tuple(reason for reason, applies in reasons.items() if applies)
    past = _forget(state) if restarts_statistics(why) else state
    max_weight = retention**elapsed / (1 - retention)
    weight = min(float(past["signal_weight"]), max_weight) + 1
    after = past | {
        "previous": values,
        "motion": measurements.motion,
        "volumes": np.asarray(state["volumes"] + 1),
        "signal": np.array(mean + (signal - mean) / weight),
        "signal_weight": np.array(weight),
    }
    if enters_statistics(why):
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
