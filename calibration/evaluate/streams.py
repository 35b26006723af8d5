"""What the decision read-out would have said along a run."""

import numpy as np
from numpy.typing import NDArray

from calibration.dataset import Labels
from calibration.heads import log_softmax
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


def _index(labels: Labels) -> NDArray[np.int64]:
    """Return how many repetition times into its run each volume was acquired, (n,)."""
    within = np.diff(labels.acquired_s)[np.diff(labels.run) == 0]
    step_s = float(np.median(within)) if len(within) else 1.0
    return np.rint(labels.acquired_s / step_s).astype(np.int64)
