"""How late this person's response comes, told by task against rest.

Neither score asks which class a block has, so the permutation test need not repeat the choice.
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
"""From features and task-against-rest labels to a score of each block, or pair of blocks."""


def choose_lag(
    features: Float32, labels_at: Callable[[float], Labels], score: Score
) -> tuple[float, str]:
    """Choose the haemodynamic lag that scores best: by a standard error, or the default stays.

    Parameters
    ----------
    features
        (n, F) coarse voxels.
    labels_at
        From a lag in seconds to labels in which task and rest are the two classes.
    score
        `held_out_rates`, or `block_contrasts` where rest is one of the classes that are decoded.

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
    best_s, reason = DEFAULT_LAG_S, "no other lag told task from rest better by a standard error"
    for lag_s, scores in found.items():
        if len(scores) != len(default) or len(scores) < 2:
            continue
        gain = scores - default
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        if gain.mean() > error and scores.mean() > found[best_s].mean():
            best_s, reason = lag_s, "told task from rest best"
    return best_s, reason


def held_out_rates(features: Float32, labels: Labels) -> Float64:
    """Return the share of each held-out block's volumes told right, task or rest, (blocks,)."""
    evidence = cross_validate(features, labels, folds(labels), N_FEATURES)
    rows = np.flatnonzero(labels.chosen)
    right = evidence[rows].argmax(axis=1) == labels.label[rows]
    blocks, place = np.unique(labels.block[rows], return_inverse=True)
    return np.bincount(place, weights=right, minlength=len(blocks)) / np.bincount(place)


def block_contrasts(features: Float32, labels: Labels) -> Float64:
    """Return how much neighbouring blocks differ, against the variance within blocks, (pairs,).

    The squared difference between the mean of a block and that of the next one in the run, divided
    by the feature's variance within blocks, averaged over features.

    Where rest is a class of its own, telling it from the task in held-out blocks would favour the
    true classes; this does not know them.

    Parameters
    ----------
    features
        (n, F)
    labels
        Of the same rows; only the blocks count, not their classes.
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
    alive = within > 0
    between = np.diff(means[order], axis=0)[same_run][:, alive] ** 2
    return np.asarray((between / within[alive]).mean(axis=1), dtype=np.float64)
