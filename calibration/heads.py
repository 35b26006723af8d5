"""Linear heads fitted in closed form, and the same fit made cheap for permuted labels.

Shrinkage LDA (Ledoit & Wolf 2004) on the features that the task drives most. Which features these
are is asked of task against rest, not of class against class: with a dozen blocks the former is
known far better, and it does not change when blocks swap their labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from calibration.dataset import Labels
from rtdecode.types import Bool, Float32, Float64

N_FEATURES = 3000
"""How many features a head reads of a layer of the network."""
VOXEL_SHARE = 0.05
"""Which part of all voxels it reads: about that part of a brain answers to a task."""
LEAST_REST = 8
"""Volumes of rest from which the task's features can be told; with fewer, classes are compared."""
LEAST_SHRINKAGE = 1e-3
"""With fewer volumes than features, none at all would divide by zero."""
NEVER = -1e6
"""Logit of a class without an example."""
SPREAD_FLOOR = 0.1
"""Of the typical feature's spread, added to every feature's."""

Kind = Literal["zero-shot", "deep", "linear", "stack", "control"]


class Predictor(Protocol):
    """Something that was fitted."""

    def log_probabilities(self, features: Float32) -> Float64:
        """Return (m, K) log-probabilities of (m, F) features."""
        ...


Fit = Callable[[Float32, Labels], Predictor]
"""From the rows of the training side and their labels to what was learnt. Rows that are neither an
example nor rest are ignored."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A decoder that may be chosen, or that others are compared with."""

    name: str
    kind: Kind
    features: Float32
    """(volumes, F)"""
    fit: Fit
    n_features: int = N_FEATURES
    """How many of them a linear discriminant reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear output layer: logits = weight @ features + bias."""

    weight: Float32
    """(K, F)"""
    bias: Float32
    """(K,)"""

    def log_probabilities(self, features: Float32) -> Float64:
        """Return (m, K) log-probabilities of (m, F) features."""
        return log_softmax(features.astype(np.float32) @ self.weight.T + self.bias)

    def times(self, factor: float) -> Self:
        """Return the head whose logits are so many times as large."""
        scale = np.float32(factor)
        return replace(self, weight=self.weight * scale, bias=self.bias * scale)


def log_softmax(logits: NDArray[np.floating]) -> Float64:
    """Return (n, K) log-probabilities of logits."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Chosen:
    """Features that a head reads, scaled."""

    place: NDArray[np.int64]
    """(f,) which of all features."""
    scale: Float64
    """(f,) what each is divided by."""


def fit_lda(features: Float32, labels: Labels, n_features: int = N_FEATURES) -> Head:
    """Fit linear discriminant analysis with Ledoit-Wolf shrinkage, classes equally probable.

    Parameters
    ----------
    features
        (n, F), also float16.
    labels
        Of the same n rows; every class present.
    n_features
        How many of the features it reads.

    Notes
    -----
    The covariance is shrunk towards a multiple of the identity, after every feature was divided by
    its spread over the training side. There are far fewer volumes than features, so the inverse is
    applied through the volumes (Woodbury's identity).
    """
    chosen = _choose(features, labels, n_features)
    x = _scaled(features, chosen)
    examples = np.flatnonzero(labels.chosen)
    gram = x[examples] @ x[examples].T
    solved, bias = _discriminate(gram, labels.label[examples], labels.n_classes, len(chosen.place))
    weight = np.zeros((labels.n_classes, features.shape[1]), dtype=np.float32)
    weight[:, chosen.place] = (solved @ x[examples]) / chosen.scale
    return Head(weight, bias.astype(np.float32))


class PermutableLda:
    """Cross-validated `fit_lda`, prepared so that other labels of the same blocks cost little.

    Features and products between volumes are worked out once for each fold; what is left to do for
    labels is of the size of the volumes, not of the features.

    Parameters
    ----------
    features
        (n, F)
    labels
        Of the same rows.
    folds
        (test, train) rows of each.
    n_features
        How many of the features each fit reads.
    """

    def __init__(
        self,
        features: Float32,
        labels: Labels,
        folds: Sequence[tuple[Bool, Bool]],
        n_features: int = N_FEATURES,
    ) -> None:
        self._features = features
        self._n_features = min(n_features, features.shape[1])
        self._folds = []
        for test, train in folds:
            rows = np.flatnonzero(train & (labels.chosen | labels.rest))
            products = _products(features, labels, rows, self._n_features)
            self._folds.append((np.flatnonzero(test), rows, products))

    def held_out(self, labels: Labels) -> Float64:
        """Return (n, K) log-probabilities, each volume's from a fit without its fold.

        Parameters
        ----------
        labels
            Those given first, or the same with other classes for the blocks.
        """
        result = np.full((len(labels.label), labels.n_classes), np.nan)
        for test, rows, prepared in self._folds:
            known = _told_from_rest(labels.take(rows))
            examples, own, cross = (
                prepared if known else _products(self._features, labels, rows, self._n_features)
            )
            coefficients, bias = _discriminate(
                own, labels.label[examples], labels.n_classes, self._n_features
            )
            result[test] = log_softmax(cross[test] @ coefficients.T + bias)
        return result


def _products(
    features: Float32, labels: Labels, rows: NDArray[np.int64], n_features: int
) -> tuple[NDArray[np.int64], Float64, Float64]:
    """Return the examples' row numbers, their products, and all rows' products with them."""
    chosen = _choose(features[rows], labels.take(rows), n_features)
    x = _scaled(features, chosen)
    examples = rows[labels.chosen[rows]]
    return examples, x[examples] @ x[examples].T, x @ x[examples].T


def _discriminate(
    gram: Float64, label: NDArray[np.int64], n_classes: int, n_features: int
) -> tuple[Float64, Float64]:
    """Solve the discriminant among volumes.

    Parameters
    ----------
    gram
        (n, n) products of the examples' features.
    label
        (n,)
    n_classes, n_features
        K, and how many features the products run over.

    Returns
    -------
    coefficients : ndarray
        (K, n): weights are sums of examples.
    bias : ndarray
        (K,)
    """
    n = len(label)
    # Permuted labels may leave a training side without some class: that one is never decided.
    present, place = np.unique(label, return_inverse=True)
    average = np.zeros((len(present), n))
    average[place, np.arange(n)] = 1.0
    average /= average.sum(axis=1, keepdims=True)
    centre = np.eye(n) - average[place]
    within = centre @ gram @ centre.T
    # Only what distinguishes the classes enters the weights: they stay small, and so does rounding.
    common = average.mean(axis=0)
    own = average - common
    shrinkage, scale = _ledoit_wolf(within, n_features)
    ridge, share = shrinkage * scale, (1 - shrinkage) / n
    # (ridge I + share W'W)^-1 M' = (M' - share W' (ridge I + share W W')^-1 W M') / ridge
    inner = np.linalg.solve(share * within + ridge * np.eye(n), centre @ gram @ own.T)
    coefficients = np.zeros((n_classes, n))
    coefficients[present] = (own - share * inner.T @ centre) / ridge
    decided = gram @ coefficients[present].T
    bias = np.full(n_classes, NEVER)
    bias[present] = -0.5 * np.einsum("kn,nk->k", own, decided) - common @ decided
    return coefficients, bias


def _ledoit_wolf(gram: Float64, n_features: int) -> tuple[float, float]:
    """Return shrinkage and mean variance of centred samples from their products (n, n).

    The formulae of Ledoit & Wolf (2004), in which features enter through such products only.
    """
    n = len(gram)
    total = float(np.trace(gram)) / n
    squared = float((gram**2).sum()) / n**2
    spread = float((np.diag(gram) ** 2).sum()) / n - squared
    distance = squared - total**2 / n_features
    shrinkage = min(1.0, spread / n / distance) if distance > 0 else 1.0
    return max(shrinkage, LEAST_SHRINKAGE), total / n_features


def _told_from_rest(labels: Labels) -> bool:
    return int(labels.rest.sum()) >= LEAST_REST


def _choose(features: Float32, labels: Labels, n_features: int) -> _Chosen:
    """Return the features that the task drives most on a training side, and their spreads."""
    examples = features[labels.chosen].astype(np.float32, copy=False)
    label = labels.label[labels.chosen]
    if _told_from_rest(labels):
        idle = features[labels.rest].astype(np.float32, copy=False)
        n, m = len(examples), len(idle)
        pooled = (n * examples.var(axis=0) + m * idle.var(axis=0)) / (n + m)
        effect = np.abs(examples.mean(axis=0) - idle.mean(axis=0))
    else:
        present, place = np.unique(label, return_inverse=True)
        means = np.stack([examples[label == c].mean(axis=0) for c in present])
        pooled = ((examples - means[place]) ** 2).mean(axis=0)
        effect = means.std(axis=0)
    # A rectified feature that hardly ever leaves zero has next to no spread: without a floor its
    # weight would be enormous, and the decision would hang on rounding.
    positive = pooled[pooled > 0]
    floor = SPREAD_FLOOR**2 * float(np.median(positive)) if len(positive) else 1.0
    spread = np.sqrt(pooled.astype(np.float64) + floor)
    place = np.sort(np.argsort(-(effect / spread), kind="stable")[:n_features])
    return _Chosen(place, spread[place])


def _scaled(features: Float32, chosen: _Chosen) -> Float64:
    return features[:, chosen.place].astype(np.float64) / chosen.scale
