"""Prior knowledge of the classes, from other people's data, as further candidates.

A prior is prepared like a discriminant (`calibration.decoders.discriminant.Side`): each class has a
pseudo-block in addition to the person's own blocks. Therefore priors take part in cross-validation
and in the permutation test like all other candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.discriminant import Side, Split, discriminate
from calibration.decoders.head import Head
from rtdecode.types import Float32, Float64

SHRINKAGE = 0.9
"""Share of the identity in the covariance, with features divided by their spread within classes.
Chosen on the same people; Ledoit & Wolf does not fit scatter from several people."""


@dataclass(frozen=True, slots=True)
class PoolRule:
    """How own data and priors are weighed.

    The default is for group maps and known states. It was fitted on HCP-derived people and on the
    one-back run (docs/results.md). `rtdecode group` fits the rule on the people of the study.
    """

    pseudo_blocks: float = 0.5
    """Own blocks of each class that the class means of others count as in one discriminant."""
    blocks_of_prior: float = 1.0
    """Own blocks of each class with which the own decoder and the priors weigh the same in the
    pool."""

    def own_share(self, blocks: float) -> float:
        """Return the own decoder's share of the pool, from its number of blocks of each class."""
        return blocks / (blocks + self.blocks_of_prior)


class Prior(Protocol):
    """Knowledge of the classes that does not need labels of this person."""

    def sides(self, features: Float32, labels: Labels, splits: Sequence[Split]) -> tuple[Side, ...]:
        """Return the discriminant of each split, prepared for every assignment of classes."""
        ...

    def head(self, features: Float32, labels: Labels) -> Head:
        """Return the head for the true classes of all blocks; there may be none."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ClassMeans:
    """Other people's class means of one layer's features.

    The person's own class means are shrunk to them: some pseudo-blocks with exactly these means are
    added to the own blocks (an empirical Bayes estimate). The covariance is that of own and
    other people's volumes within classes.
    """

    index: NDArray[np.int64]
    """(f,) positions of the features, ascending."""
    scale: Float64
    """(f,) spread within classes by which each feature is divided."""
    means: Float64
    """(K, f) class means of the divided features."""
    scatter: Float64
    """(r, f) rows R; R'R is the scatter of other people's volumes about their class means."""
    n_scatter: float
    """Number of volumes in this scatter."""
    pseudo_blocks: float = 0.5
    """See `PoolRule`."""

    def sides(self, features: Float32, labels: Labels, splits: Sequence[Split]) -> tuple[Side, ...]:
        """Return the discriminant of each split; see `Prior`."""
        rows = np.unique(np.concatenate([np.r_[split.train, split.test] for split in splits]))
        products = _Products(self, features, rows)
        return tuple(products.side(labels, split)[0] for split in splits)

    def head(self, features: Float32, labels: Labels) -> Head:
        """Return the head for the true classes of all blocks; see `Prior`."""
        examples = np.flatnonzero(labels.chosen)
        products = _Products(self, features, examples)
        side, mean = products.side(labels, Split(examples, examples[:0]))
        arrangement = labels.block_labels()[None]
        block_weights, bias, _ = discriminate(side, arrangement, len(self.means))
        weight = block_weights[0] @ side.volume_weights @ products.vectors(examples, mean)
        weight -= weight.mean(axis=0)
        offset = bias[0] - weight @ mean
        full = np.zeros((len(weight), features.shape[1]), np.float32)
        full[:, self.index] = weight / self.scale
        return Head(full, (offset - offset.mean()).astype(np.float32))


class _Products:
    """Products of all volumes with each other, the prior's means and its scatter.

    The features do not depend on the split. So the products are computed once, and a split needs
    only rows of them, centred about its own mean.
    """

    def __init__(self, prior: ClassMeans, features: Float32, rows: NDArray[np.int64]) -> None:
        self._prior = prior
        self._place = np.full(len(features), -1)
        self._place[rows] = np.arange(len(rows))
        x = features[np.ix_(rows, prior.index)].astype(np.float64) / prior.scale
        self._x = x
        self._means = prior.means - prior.means.mean(axis=0)
        self._other = np.concatenate([self._means, prior.scatter])
        self._own_own, self._own_other = x @ x.T, x @ self._other.T
        self._other_other = self._other @ self._other.T

    def vectors(self, examples: NDArray[np.int64], mean: Float64) -> Float64:
        """Return the vectors whose weights `Side.volume_weights` gives, (n + K + r, f)."""
        return np.concatenate([self._x[self._place[examples]] - mean, self._other])

    def side(self, labels: Labels, split: Split) -> tuple[Side, Float64]:
        """Return the discriminant of a split, and the mean of its training volumes."""
        train = split.train[labels.chosen[split.train]]
        n, n_classes, n_blocks = len(train), len(self._means), len(labels.blocks)
        own = np.bincount(labels.block[train], minlength=n_blocks).astype(np.float64)
        size = own[own > 0].mean() if n else 1.0
        counts = np.concatenate([own, np.full(n_classes, self._prior.pseudo_blocks * size)])
        # The weight of each vector in the scatter: a pseudo-block is one vector of several volumes.
        times = np.ones(n + len(self._other))
        times[n : n + n_classes] = counts[n_blocks:]
        gram, tested = self._centred(self._place[train], self._place[split.test])
        total = counts.sum() + self._prior.n_scatter
        n_features = len(self._prior.index)
        ridge = SHRINKAGE * float(times @ np.diag(gram)) / total / n_features
        share = (1 - SHRINKAGE) / total
        average = np.zeros((len(counts), len(gram)))
        average[labels.block[train], np.arange(n)] = 1 / own[labels.block[train]]
        average[n_blocks:, n : n + n_classes] = np.eye(n_classes)
        # Block means times (ridge I + share V'V)^-1 as weights of the vectors V, with V scaled by
        # the square root of `times`: average (ridge I + share G T)^-1.
        inner = ridge * np.eye(len(gram)) + share * times[:, None] * gram
        weights = np.linalg.solve(inner, average.T).T
        between = weights @ gram @ average.T
        mean = self._x[self._place[train]].mean(axis=0) if n else self._prior.means.mean(axis=0)
        return Side(counts, share, weights, between, weights @ tested), mean

    def _centred(
        self, train: NDArray[np.int64], test: NDArray[np.int64]
    ) -> tuple[Float64, Float64]:
        """Return the products of a split's vectors with each other and with the tested volumes."""
        if len(train):
            mean_own = self._own_own[train].mean(axis=0)
            mean_other = self._own_other[train].mean(axis=0)
            mean_mean = float(mean_own[train].mean())
        else:
            mean = self._prior.means.mean(axis=0)
            mean_own, mean_other = self._x @ mean, self._other @ mean
            mean_mean = float(mean @ mean)
        own = self._own_own - mean_own[:, None] - mean_own[None, :] + mean_mean
        cross = self._own_other - mean_other
        gram = np.block(
            [[own[np.ix_(train, train)], cross[train]], [cross[train].T, self._other_other]]
        )
        tested = np.concatenate([own[np.ix_(train, test)], cross[test].T])
        return gram, tested


@dataclass(frozen=True, slots=True, eq=False)
class KnownStates:
    """The head of a pretrained network, for classes that the network knows."""

    weight: Float32
    """(K, F) weights of the classes' states."""
    bias: Float32
    """(K,)"""

    def sides(self, features: Float32, labels: Labels, splits: Sequence[Split]) -> tuple[Side, ...]:
        """Return the head's fixed logits as pseudo-blocks without scatter; see `Prior`."""
        head = self.head(features, labels)
        logits = (features.astype(np.float64) @ head.weight.T + head.bias).T
        own, n_classes = len(labels.blocks), len(self.bias)
        counts = np.concatenate([np.zeros(own), np.ones(n_classes)])
        nothing = np.zeros((len(counts), len(counts)))
        return tuple(
            Side(
                counts,
                0.0,
                np.zeros((len(counts), 0)),
                nothing,
                np.concatenate([np.zeros((own, len(split.test))), logits[:, split.test]]),
            )
            for split in splits
        )

    def head(self, features: Float32, labels: Labels) -> Head:  # noqa: ARG002 - needs no labels
        """Return the head, divided by the spread of its logits over all volumes; see `Prior`.

        The spread needs no labels. It brings the logits to the scale of the discriminants.
        """
        weight = self.weight - self.weight.mean(axis=0)
        bias = self.bias - self.bias.mean()
        spread = float(np.sqrt(np.mean((features @ weight.T + bias) ** 2)))
        scale = spread if spread > 0 else 1.0
        return Head((weight / scale).astype(np.float32), (bias / scale).astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class LayerPrior:
    """A prior with the layer whose features it reads."""

    name: str
    """Name of the candidate, such as `voxels with group maps`."""
    layer: int
    """A number of convolutions, or a constant of `calibration.networks.features`."""
    origin: str
    """Where it comes from, in a few words."""
    prior: Prior
