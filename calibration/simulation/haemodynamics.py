"""The haemodynamic response to blocks of stimulation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rtdecode.events import Event
from rtdecode.types import Float64

_STEP_S = 0.1
_LENGTH_S = 32.0


@dataclass(frozen=True)
class HaemodynamicSettings:
    """Variation of haemodynamic responses between people (Handwerker et al. 2004)."""

    peak_s: float = 5.5
    """Mean time to peak."""
    peak_spread_s: float = 0.6
    """Standard deviation of the time to peak between people."""
    undershoot: float = 0.16
    """Mean ratio of the undershoot's weight to the peak's."""
    undershoot_spread: float = 0.04


@dataclass(frozen=True)
class Haemodynamics:
    """One participant's response: the difference of two gamma densities (Friston et al. 1998)."""

    peak_s: float
    undershoot_s: float
    """Time of the undershoot's lowest point."""
    undershoot: float
    """Weight of the undershoot relative to the peak."""

    def response(self, times_s: Float64) -> Float64:
        """Return the response to a brief event at `times_s` after it; its integral is 1 per s."""
        peak = stats.gamma.pdf(times_s, self.peak_s + 1.0)
        undershoot = stats.gamma.pdf(times_s, self.undershoot_s + 1.0)
        return (peak - self.undershoot * undershoot) / (1.0 - self.undershoot)


def draw_haemodynamics(settings: HaemodynamicSettings, rng: np.random.Generator) -> Haemodynamics:
    """Draw one participant's response."""
    peak = float(np.clip(settings.peak_s + settings.peak_spread_s * rng.standard_normal(), 3, 9))
    undershoot = settings.undershoot + settings.undershoot_spread * rng.standard_normal()
    return Haemodynamics(peak, peak + 10.0, float(np.clip(undershoot, 0.0, 0.5)))


def block_responses(
    events: Sequence[Event],
    states: Sequence[str],
    amplitudes: Float64,
    haemodynamics: Haemodynamics,
    times_s: Float64,
) -> Float64:
    """Return every state's response over time.

    Parameters
    ----------
    events
        The run's blocks, within the time that `times_s` covers.
    states
        The states, in the order of the result's columns.
    amplitudes
        Strength of each block, (events,); 1 gives a plateau of 1 in a long block.
    haemodynamics
        The participant's response.
    times_s
        Acquisition times of the volumes, (volumes,).

    Returns
    -------
    (volumes, states)
    """
    fine_s = np.arange(0.0, float(times_s[-1]) + _STEP_S, _STEP_S)
    since_s = _STEP_S * np.arange(round(_LENGTH_S / _STEP_S), dtype=np.float64)
    kernel = haemodynamics.response(since_s) * _STEP_S
    responses = np.empty((len(times_s), len(states)))
    for column, state in enumerate(states):
        neural = np.zeros_like(fine_s)
        for event, amplitude in zip(events, amplitudes, strict=True):
            if event.trial_type == state:
                inside = (fine_s >= event.onset_s) & (fine_s < event.end_s)
                neural[inside] = amplitude
        blood = np.convolve(neural, kernel)[: len(fine_s)]
        responses[:, column] = np.interp(times_s, fine_s, blood)
    return responses
