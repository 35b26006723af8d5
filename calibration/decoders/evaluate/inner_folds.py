"""Folds within the training side of a fold, for nested cross-validation."""

import numpy as np

from calibration.data.labels import Labels
from calibration.decoders.discriminant import Split
from calibration.decoders.evaluate.folds import Fold, folds
from calibration.decoders.lda import split_of
from rtdecode.errors import ConfigError

MIN_BLOCKS = 2
"""Blocks of each class that holding one out needs."""


def inner_splits(labels: Labels, fold: Fold) -> tuple[Split, ...]:
    """Return the folds of a training side, in row numbers of all rows; none if too few blocks."""
    rows = labels.take(fold.train)
    if _blocks_of_rarest(rows) < MIN_BLOCKS:
        return ()
    try:
        inner = folds(rows)  # without prior: at least two blocks of each class are on the side
    except ConfigError:  # the guard interval leaves some class without a block
        return ()
    place = np.flatnonzero(fold.train)
    splits = (split_of(rows, one) for one in inner)
    return tuple(Split(place[split.train], place[split.test]) for split in splits)


def _blocks_of_rarest(labels: Labels) -> int:
    present = np.unique(labels.block[labels.chosen])
    return int(np.bincount(labels.block_labels()[present], minlength=labels.n_classes).min())
