"""Computes the shown level and label from a stream of probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rtdecode.feedback.feedback_settings import FeedbackSettings, FirstVolumes
from rtdecode.types import NONE


@dataclass(frozen=True, slots=True)
class Reading:
    """The level and the label of one decision."""

    level: float | None
    """0 (empty) to 1 (full); `None` while there is no baseline."""
    label: str
    """The likeliest class, or `none`."""


class Signal:
    """Computes a level and a label for each decision, from it and the decisions before it.

    Parameters
    ----------
    settings
        The settings of the feedback.
    classes
        Names of the classes, in the order of the probabilities.
    """

    def __init__(self, settings: FeedbackSettings, classes: tuple[str, ...]) -> None:
        self._settings = settings
        self._classes = classes
        self._weights = settings.weights(classes)
        self._smooth: tuple[float, ...] | None = None
        self._last_s = 0.0
        self._sum, self._count = 0.0, 0

    def step(self, probabilities: Sequence[float], acquired_s: float, *, at_rest: bool) -> Reading:
        """Add one decision.

        Parameters
        ----------
        probabilities
            One probability per class.
        acquired_s
            Time of its volume in the run, seconds.
        at_rest
            Whether the volume belongs to a rest block.
        """
        self._update_baseline(self._combine(probabilities), at_rest=at_rest)
        if self._smooth is None:
            self._smooth = tuple(probabilities)
        else:
            weight = _smoothing_weight(acquired_s - self._last_s, self._settings.smoothing_s)
            pairs = zip(self._smooth, probabilities, strict=True)
            self._smooth = tuple(old + weight * (new - old) for old, new in pairs)
        self._last_s = acquired_s
        return Reading(self._level(self._combine(self._smooth)), self._label(self._smooth))

    def _combine(self, probabilities: Sequence[float]) -> float:
        return math.fsum(w * p for w, p in zip(self._weights, probabilities, strict=True))

    def _update_baseline(self, value: float, *, at_rest: bool) -> None:
        match self._settings.baseline:
            case "rest":
                is_used = at_rest
            case FirstVolumes(first_volumes):
                is_used = self._count < first_volumes
            case _:
                is_used = False
        if is_used:
            self._sum += value
            self._count += 1

    @property
    def _baseline(self) -> float | None:
        match self._settings.baseline:
            case "rest":
                return self._sum / self._count if self._count else None
            case FirstVolumes(first_volumes):
                return self._sum / self._count if self._count == first_volumes else None
            case value:
                return value

    def _level(self, value: float) -> float | None:
        baseline = self._baseline
        if baseline is None:
            return None
        low, high = self._settings.range
        level = (self._settings.sign * (value - baseline) - low) / (high - low)
        return min(1.0, max(0.0, level))

    def _label(self, probabilities: Sequence[float]) -> str:
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        return self._classes[best] if probabilities[best] >= self._settings.threshold else NONE


def _smoothing_weight(passed_s: float, time_constant_s: float) -> float:
    """Return the weight of a new value in exponential smoothing, 0 to 1."""
    return 1.0 if time_constant_s <= 0 else -math.expm1(-max(0.0, passed_s) / time_constant_s)
