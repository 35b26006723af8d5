"""The scatter of volumes about class means, as a factor of few rows."""

import numpy as np

from calibration.data.labels import Labels
from rtdecode.types import Float64

RANK = 50
"""Rows that describe the scatter. On HCP-derived people, 50, 100 and all 320 rows decode the same
share of volumes to within 1.5 points."""


def residuals(features: Float64, labels: Labels) -> Float64:
    """Return the volumes less their class means, (examples, f)."""
    rows = np.flatnonzero(labels.chosen)
    x = np.array(features[rows], dtype=np.float64)
    for c in range(labels.n_classes):
        mine = labels.label[rows] == c
        x[mine] -= x[mine].mean(axis=0)
    return x


def merge(first: Float64, second: Float64, rank: int = RANK) -> Float64:
    """Return at most `rank` rows R with R'R close to the scatter of both.

    The largest components are kept. The scatter of the others is lost, which is little; it may be
    called one person after another, so that not all are in memory.
    """
    both = np.concatenate([first, second])
    if len(both) <= rank:
        return both
    values, vectors = np.linalg.eigh(both @ both.T)
    largest = np.argsort(values)[::-1][:rank]
    return vectors[:, largest].T @ both
