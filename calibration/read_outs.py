"""How evidence becomes probabilities and decisions: fitted on held-out blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.dataset import Labels
from calibration.evaluate import windows
from calibration.heads import log_softmax
from calibration.temperature import TEMPERATURES, loss_per_block
from rtdecode.types import Bool, Float64

WINDOWS_S = (8.0, 12.0)
"""Shortest and longest decision window."""
FAST_RETENTION = 2 / 3
"""A memory of three volumes: what continuous display wants (models report, section 4.3)."""
FALSE_ALARMS = 0.1
"""Share of rest windows at which a decision is put up with."""
MOST_LOST = 0.2
"""Share of right task windows that the threshold may cost at most."""
MOST_IN_VAIN = 0.1
"""A threshold that rejects no more of rest, beyond what it costs of the task, is none."""
LEAST_REST = 8
"""Windows of pure rest from which a threshold can be told."""


@dataclass(frozen=True, slots=True)
class ReadOuts:
    """What was fitted."""

    temperature: float
    window_volumes: int
    fast_retention: float
    none_threshold: float
    notes: tuple[str, ...]


def fit_read_outs(
    evidence: Float64, labels: Labels, usable: Bool, repetition_time_s: float
) -> ReadOuts:
    """Fit temperature, window and threshold on held-out evidence.

    Parameters
    ----------
    evidence
        (n, K) log-probabilities of all volumes, none from a fit to its own block.
    labels, usable
        Of the same volumes.
    repetition_time_s
        Seconds between volumes.

    Notes
    -----
    The temperature (Guo et al. 2017) is kept only where, fitted on the other blocks, it lowers the
    log-loss of each block's windows in the mean. The window is the shortest whose log-loss is
    within one standard error, over blocks, of the best. The threshold is the least at which one in
    ten windows of pure rest is decided, or else the one that rejects most of them for what it costs
    of the task; such windows need pauses longer than the window.
    """
    lengths = [max(1, round(s / repetition_time_s)) for s in WINDOWS_S]
    temperature, note = fit_temperature(evidence, labels, usable, lengths[0])
    cooled = log_softmax(evidence / temperature)
    window_volumes = _window(cooled, labels, usable, range(lengths[0], lengths[1] + 1))
    threshold, why = _threshold(cooled, labels, usable, window_volumes)
    return ReadOuts(temperature, window_volumes, FAST_RETENTION, threshold, (note, why))


def fit_temperature(
    evidence: Float64, labels: Labels, usable: Bool, window_volumes: int
) -> tuple[float, str]:
    """Return the temperature of held-out evidence's windows, 1 where none helps, and why."""
    losses = np.stack(
        [
            _loss_per_block(log_softmax(evidence / t), labels, usable, window_volumes)
            for t in TEMPERATURES
        ]
    )
    plain = _loss_per_block(evidence, labels, usable, window_volumes)
    # Each block is judged at the temperature that suits the others best.
    others = losses.sum(axis=1, keepdims=True) - losses
    fitted = losses[others.argmin(axis=0), np.arange(losses.shape[1])]
    if not fitted.mean() < plain.mean():
        return 1.0, "no temperature: it does not lower the held-out log-loss"
    best = float(TEMPERATURES[losses.mean(axis=1).argmin()])
    return best, f"temperature {best:.3g}: lowers the held-out log-loss"


def _window(evidence: Float64, labels: Labels, usable: Bool, lengths: Sequence[int]) -> int:
    losses = [_loss_per_block(evidence, labels, usable, length) for length in lengths]
    best = min(losses, key=lambda loss: loss.mean())
    for length, loss in zip(lengths, losses, strict=True):
        difference = loss - best
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
        if difference.mean() <= error:
            return length
    return lengths[0]


def _threshold(
    evidence: Float64, labels: Labels, usable: Bool, window_volumes: int
) -> tuple[float, str]:
    pure = _pure_rest(labels, window_volumes) & usable
    if int(pure.sum()) < LEAST_REST:
        return 0.0, (
            "no threshold for none: the pauses are shorter than the decision window, so what the "
            "decoder says of rest is not known"
        )
    window = windows(evidence, labels, usable, window_volumes)
    confidence = np.exp(window.max(axis=1))
    right = confidence[labels.chosen & (window.argmax(axis=1) == labels.label)]
    best = (MOST_IN_VAIN, 0.0, 1.0, 0.0)
    for threshold in np.linspace(1 / labels.n_classes, 1.0, 200)[:-1]:
        alarms, lost = (confidence[pure] >= threshold).mean(), (right < threshold).mean()
        if lost > MOST_LOST:
            break
        if 1 - alarms - lost > best[0]:
            best = (float(1 - alarms - lost), float(threshold), float(alarms), float(lost))
        if alarms <= FALSE_ALARMS:
            break
    _, threshold, alarms, lost = best
    if threshold == 0:
        return 0.0, "no threshold for none: rest looks to the decoder as sure as the task does"
    return threshold, (
        f"none below {threshold:.2f}: {alarms:.0%} of {int(pure.sum())} rest windows are decided "
        f"all the same, and {lost:.0%} of right task windows are lost"
    )


def _pure_rest(labels: Labels, window_volumes: int) -> Bool:
    """Return at which volumes the whole window lies in rest, (n,)."""
    pure = labels.rest.copy()
    for back in range(1, window_volumes):
        pure[back:] &= labels.rest[:-back] & (labels.run[back:] == labels.run[:-back])
        pure[:back] = False
    return pure


def _loss_per_block(
    evidence: Float64, labels: Labels, usable: Bool, window_volumes: int
) -> Float64:
    """Return each block's log-loss of the windows at its volumes."""
    return loss_per_block(windows(evidence, labels, usable, window_volumes), labels)
