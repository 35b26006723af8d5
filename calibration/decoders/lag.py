"""Choose the haemodynamic lag of this person from task against rest.

The scores do not use the classes of blocks, so the permutation test need not repeat the choice.
"""

from collections.abc import Callable

import numpy as np

from calibration.data.labels import Labels
from calibration.decoders.evaluate import folds
from calibration.decoders.lda import N_FEATURES, cross_validate
from rtdecode.errors import ConfigError
from rtdecode.types import Float32, Float64

LAGS_S = (3.0, 4.0, 5.0, 6.0, 7.0)
DEFAULT_LAG_S = 5.0

Score = Callable[[Float32, Labels], Float64]
"""Returns a score of each block or pair of blocks, from features and task-against-rest labels."""


def choose_lag(
    features: Float32, labels_at: Callable[[float], Labels], score: Score
) -> tuple[float, str]:
    """Choose the lag with the best score if it exceeds the default by a standard error.

    Parameters
    ----------
    features
        (n, F) coarse voxels.
    labels_at
        Returns labels with the two classes task and rest, for a lag in seconds.
    score
        `held_out_rates`, or `block_contrasts` if rest is one of the decoded classes.

    Returns
    -------
    lag_s : float
    reason : str
    """
    found = {}
    for lag_s in LAGS_S:
        try:
            found[lag_s] = score(features, labels_at(lag_s))
        except ConfigError:
            continue
    if DEFAULT_LAG_S not in found:
        return DEFAULT_LAG_S, "no rest to tell the task from: the default"
    default = found[DEFAULT_LAG_S]
    best_s, reason = (
        DEFAULT_LAG_S,
        "no other lag separates task and rest better by a standard error",
    )
    for lag_s, scores in found.items():
        if len(scores) != len(default) or len(scores) < 2:
            continue
        gain = scores - default
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        if gain.mean() > error and scores.mean() > found[best_s].mean():
            best_s, reason = lag_s, "separates task and rest best"
    return best_s, reason


def held_out_rates(features: Float32, labels: Labels) -> Float64:
    """Return the share of each held-out block's volumes classified correctly, (blocks,)."""
    evidence = cross_validate(features, labels, folds(labels), N_FEATURES)
    rows = np.flatnonzero(labels.chosen)
    right = evidence[rows].argmax(axis=1) == labels.label[rows]
    blocks, place = np.unique(labels.block[rows], return_inverse=True)
    return np.bincount(place, weights=right, minlength=len(blocks)) / np.bincount(place)


def block_contrasts(features: Float32, labels: Labels) -> Float64:
    """Return the contrast of neighbouring blocks relative to the variance within blocks, (pairs,).

    The squared difference between the mean of a block and that of the next one in the run, divided
    by the feature's variance within blocks, averaged over features.

    If rest is a decoded class, held-out rates of task against rest would favour the true classes;
    this score does not use them.

    Parameters
    ----------
    features
        (n, F)
    labels
        Labels of the same rows; only the blocks are used, not their classes.
    """
    rows = np.flatnonzero(labels.chosen)
    block, place = np.unique(labels.block[rows], return_inverse=True)
    x = features[rows].astype(np.float64)
    average = np.zeros((len(block), len(rows)))
    average[place, np.arange(len(rows))] = 1 / np.bincount(place)[place]
    means = average @ x
    within = ((x - means[place]) ** 2).mean(axis=0)
    order = sorted(
        range(len(block)),
        key=lambda n: (labels.blocks[block[n]].run, labels.blocks[block[n]].onset_s),
    )
    run = np.array([labels.blocks[block[n]].run for n in order])
    same_run = run[1:] == run[:-1]
    varying = within > 0
    between = np.diff(means[order], axis=0)[same_run][:, varying] ** 2
    return np.asarray((between / within[varying]).mean(axis=1), dtype=np.float64)
