"""Temperature scaling on held-out blocks."""

import numpy as np

from calibration.data.labels import Labels
from rtdecode.types import Float64

TEMPERATURES: Float64 = 2.0 ** (np.arange(-24, 57) / 4)
"""From 1/64 to 16,384; 1 is one of them."""


def loss_per_block(log_probabilities: Float64, labels: Labels) -> Float64:
    """Return each block's log-loss with smoothed targets, (..., blocks).

    If all blocks are correct, the plain log-loss would favour unlimited confidence. As in Platt
    (2000), the target is (N + 1) / (N + 2) for N blocks; the other classes share the rest.

    Parameters
    ----------
    log_probabilities
        (..., n, K)
    labels
        Labels of the same n rows.
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
