"""Linear heads fitted in closed form, and their held-out evidence.

A head is a shrinkage discriminant (`calibration.decoders.discriminant`) on selected features
(`calibration.decoders.selection`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from calibration.data.labels import Labels
from calibration.decoders.discriminant import (
    Arrangements,
    Side,
    Split,
    discriminate,
    logits_of,
    prepare_side,
    scaled,
)
from calibration.decoders.head import Head, log_softmax
from calibration.decoders.prior import Prior
from calibration.decoders.selection import select
from rtdecode.types import Bool, Float32, Float64

N_FEATURES = 3000
"""Number of features that a head reads from a layer of the network."""
VOXEL_SHARE = 0.05
"""Share of all voxels that a head reads; about this share responds to a task."""

Kind = Literal["zero-shot", "deep", "linear", "prior", "stack", "pool", "control"]


class Predictor(Protocol):
    """A fitted decoder."""

    def log_probabilities(self, features: Float32) -> Float64:
        """Return (m, K) log-probabilities of (m, F) features."""
        ...


Fit = Callable[[Float32, Labels], Predictor]
"""Fits a decoder to the rows of the training side and their labels. Rows that are neither an
example nor rest are ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A decoder that may be chosen, or a baseline."""

    name: str
    kind: Kind
    features: Float32
    """(volumes, F)"""
    fit: Fit
    n_features: int = N_FEATURES
    """Number of features that a linear discriminant reads."""
    prior: Prior | None = None
    """Knowledge from other people that the discriminant uses."""

    def sides(self, labels: Labels, splits: Sequence[Split]) -> tuple[Side, ...]:
        """Prepare the candidate for each split, independently of the classes of the blocks."""
        if self.prior is not None:
            return self.prior.sides(self.features, labels, splits)
        return prepare_sides(self.features, labels, splits, self.n_features)

    def head(self, labels: Labels) -> Head:
        """Fit the candidate's head to all examples."""
        if self.prior is not None:
            return self.prior.head(self.features, labels)
        return fit_lda(self.features, labels, self.n_features)


def fit_lda(features: Float32, labels: Labels, n_features: int = N_FEATURES) -> Head:
    """Fit a shrinkage discriminant, classes equally probable, to the examples.

    Parameters
    ----------
    features
        (n, F)
    labels
        Labels of the same rows; every class has an example.
    n_features
        Number of features that the head reads.
    """
    used = np.flatnonzero(labels.chosen | labels.rest)
    (selection,) = select(features, labels, [used], n_features)
    examples = np.flatnonzero(labels.chosen)
    side = prepare_side(features, labels, selection, examples, examples[:0])
    of = labels.block_labels()
    block_weights, bias, _ = discriminate(side, of[None], labels.n_classes)
    x = scaled(features, examples, selection)
    mean = x.mean(axis=0)
    weight = block_weights[0] @ side.volume_weights @ (x - mean)
    # A component that is common to all classes decides nothing; without it the weights are small.
    weight -= weight.mean(axis=0)
    offset = bias[0] - weight @ mean
    full = np.zeros((labels.n_classes, features.shape[1]), np.float32)
    full[:, selection.index] = weight / selection.scale
    return Head(full, (offset - offset.mean()).astype(np.float32))


def split_of(labels: Labels, fold: tuple[Bool, Bool]) -> Split:
    """Return the rows of a fold (test, train); other rows than examples and rest are removed."""
    test, train = fold
    return Split(np.flatnonzero(train & (labels.chosen | labels.rest)), np.flatnonzero(test))


def prepare_sides(
    features: Float32, labels: Labels, splits: Sequence[Split], n_features: int
) -> tuple[Side, ...]:
    """Prepare a discriminant for each split, independently of the classes of the blocks.

    Parameters
    ----------
    features
        (n, F)
    labels
        Labels of the same rows.
    splits
        The rows of each fit.
    n_features
        Number of features that each fit reads.
    """
    if not any(labels.chosen[split.train].any() for split in splits):
        return tuple(_no_training(labels, split) for split in splits)
    selections = select(features, labels, [split.train for split in splits], n_features)
    return tuple(
        prepare_side(
            features, labels, selection, split.train[labels.chosen[split.train]], split.test
        )
        for split, selection in zip(splits, selections, strict=True)
    )


def _no_training(labels: Labels, split: Split) -> Side:
    """Return a side without training blocks: all its logits are 0."""
    n = len(labels.blocks)
    return Side(
        np.zeros(n), 0.0, np.zeros((n, 0)), np.zeros((n, n)), np.zeros((n, len(split.test)))
    )


def held_out_logits(
    sides: Sequence[Side], splits: Sequence[Split], arrangements: Arrangements, labels: Labels
) -> Float64:
    """Return the held-out logits of the volumes for each arrangement, (P, n, K).

    They are NaN for volumes that no split decodes.
    """
    shape = (len(arrangements), len(labels.label), labels.n_classes)
    result = np.full(shape, np.nan)
    for side, split in zip(sides, splits, strict=True):
        result[:, split.test] = logits_of(side, arrangements, labels.n_classes)
    return result


def cross_validate(
    features: Float32, labels: Labels, folds: Sequence[tuple[Bool, Bool]], n_features: int
) -> Float64:
    """Return the held-out log-probabilities of a discriminant, (n, K)."""
    splits = [split_of(labels, fold) for fold in folds]
    sides = prepare_sides(features, labels, splits, n_features)
    return log_softmax(held_out_logits(sides, splits, labels.block_labels()[None], labels)[0])
