"""How late this person's response comes, told without asking which class a block has.

With the right lag, volumes of a block are alike and differ from those of the next one. Task and
rest are blocks here, whatever is decoded later. So permuting the classes of blocks changes nothing,
and the permutation test need not repeat the choice.
"""

from collections.abc import Callable

import numpy as np

from calibration.dataset import Labels
from rtdecode.errors import ConfigError
from rtdecode.types import Float32

LAGS_S = (3.0, 4.0, 5.0, 6.0, 7.0)
DEFAULT_LAG_S = 5.0


def choose_lag(features: Float32, labels_at: Callable[[float], Labels]) -> tuple[float, str]:
    """Choose the haemodynamic lag at which neighbouring blocks of task and rest differ most.

    Parameters
    ----------
    features
        (n, F) coarse voxels.
    labels_at
        From a lag in seconds to labels in which task and rest are the two classes.

    Returns
    -------
    lag_s : float
    reason : str
    """
    found = {}
    for lag_s in LAGS_S:
        try:
            found[lag_s] = block_contrast(features, labels_at(lag_s))
        except ConfigError:
            continue
    if DEFAULT_LAG_S not in found:
        return DEFAULT_LAG_S, "no rest to tell the task from: the default"
    lag_s = max(found, key=lambda each: found[each])
    return lag_s, "task and rest differ most, against the spread within blocks"


def block_contrast(features: Float32, labels: Labels) -> float:
    """Return how much neighbouring blocks differ, against the variance within blocks.

    The mean over features of the mean squared difference between the mean of a block and that of
    the next one in the run, divided by the feature's variance within blocks.

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
    between = (np.diff(means[order], axis=0)[same_run] ** 2).mean(axis=0)
    alive = within > 0
    return float((between[alive] / within[alive]).mean())
