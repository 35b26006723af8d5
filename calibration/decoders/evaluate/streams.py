"""What a decision read-out would have said along a run."""

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.head import log_softmax
from calibration.networks.filter import switching_rate
from rtdecode.types import Bool, Float64


def windows(evidence: Float64, labels: Labels, usable: Bool, window_volumes: int) -> Float64:
    """Return the decision window's log-probabilities at each volume, (n, K).

    The same rule as in `decoder.onnx`: the mean over the usable volumes of the last so many
    repetition times, within a run; where there is none, all classes alike. A volume that never came
    takes its place in the window all the same.

    Parameters
    ----------
    evidence
        (n, K) log-probabilities of single volumes.
    labels
        Which run each volume belongs to, and when it was acquired.
    usable
        (n,) whether it counts.
    window_volumes
        Length of the window.
    """
    weight = usable.astype(np.float64)
    counted = np.where(usable[:, None], evidence, 0.0)
    total, count = np.zeros_like(counted), np.zeros_like(weight)
    index = _index(labels)
    for back in range(min(window_volumes, len(evidence))):
        here = np.arange(back, len(evidence))
        inside = (labels.run[here] == labels.run[here - back]) & (
            index[here] - index[here - back] < window_volumes
        )
        here = here[inside]
        total[here] += counted[here - back]
        count[here] += weight[here - back]
    return log_softmax(total / np.maximum(count, 1e-9)[:, None])


def filtered(evidence: Float64, labels: Labels, usable: Bool, dwell_volumes: float) -> Float64:
    """Return the forward filter's log-posterior at each volume, (..., n, K).

    The same rule as in `decoder.onnx`: time moves the posterior towards all classes alike, the
    likelihood of a usable volume multiplies it, and each run begins with all classes alike. A
    volume that never came takes its time all the same.

    Parameters
    ----------
    evidence
        (..., n, K) log-probabilities of single volumes, up to a constant of each volume.
    labels
        Which run each volume belongs to, and when it was acquired.
    usable
        (n,) whether it counts.
    dwell_volumes
        How long a class is expected to last, in repetition times.
    """
    classes = evidence.shape[-1]
    rate = switching_rate(dwell_volumes, classes)
    counted = np.where(usable[:, None], evidence, 0.0)
    elapsed = np.diff(_index(labels), prepend=0)
    begins = np.diff(labels.run, prepend=-1) != 0
    result = np.empty_like(counted)
    alike = np.full(counted[..., 0, :].shape, 1 / classes)
    before = alike
    for row in range(counted.shape[-2]):
        if begins[row]:
            before = alike
        kept = np.exp(-rate * max(1, elapsed[row]))
        moved = np.maximum(kept * before + (1 - kept) / classes, np.finfo(np.float64).tiny)
        total = np.log(moved) + counted[..., row, :]
        total -= total.max(axis=-1, keepdims=True)
        before = np.exp(total)
        whole = before.sum(axis=-1, keepdims=True)
        before /= whole
        result[..., row, :] = total - np.log(whole)
    return result


def _index(labels: Labels) -> NDArray[np.int64]:
    """Return how many repetition times into its run each volume was acquired, (n,)."""
    within = np.diff(labels.acquired_s)[np.diff(labels.run) == 0]
    step_s = float(np.median(within)) if len(within) else 1.0
    return np.rint(labels.acquired_s / step_s).astype(np.int64)
