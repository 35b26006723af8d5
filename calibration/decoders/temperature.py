"""How sure a decoder may be of itself, told from held-out blocks."""

import numpy as np

from calibration.data.labels import Labels
from rtdecode.types import Float64

TEMPERATURES: Float64 = 2.0 ** (np.arange(-24, 57) / 4)
"""From 1/64 to 16,384; 1 is one of them."""


def loss_per_block(log_probabilities: Float64, labels: Labels) -> Float64:
    """Return each block's log-loss, the truth a little in doubt, (..., blocks).

    With every block right the log-loss would favour boundless certainty. As Platt (2000) does, the
    target is not 1 but (N + 1) / (N + 2) for N blocks, the rest shared by the other classes.

    Parameters
    ----------
    log_probabilities
        (..., n, K)
    labels
        Of the same n rows.
    """
    rows = np.flatnonzero(labels.chosen)
    numbers, place = np.unique(labels.block[rows], return_inverse=True)
    doubt = 1 / (len(numbers) + 2)
    target = np.full((len(rows), labels.n_classes), doubt / (labels.n_classes - 1))
    target[np.arange(len(rows)), labels.label[rows]] = 1 - doubt
    mean = np.zeros((len(rows), len(numbers)))
    mean[np.arange(len(rows)), place] = 1 / np.bincount(place)[place]
    loss: Float64 = -(log_probabilities[..., rows, :] * target).sum(axis=-1) @ mean
    return loss
