"""Shrinkage discriminant analysis, fast for many assignments of classes to the same blocks.

The classes of blocks enter only at the end. Z (n, f) are the training volumes about their mean, T
is their scatter Z'Z, and M (K, f) the class means. The scatter within classes is
W = T - M' diag(counts) M, and the regularised covariance is

    ridge I + share W = A - M' D M,   A = ridge I + share T,   D = share diag(counts)

By Woodbury's identity the discriminants are M (A - M' D M)^-1 = (I - P D)^-1 M A^-1 with
P = M A^-1 M', (K, K). Class means are averages of block means, and A does not depend on the
classes. So block means times A^-1 times volumes is computed once, and each assignment needs only
matrices of the size of the blocks. The result is exact.

The shrinkage is that of Ledoit & Wolf (2004), computed from T, so that it does not depend on the
classes either. The bias of each class is corrected for the noise of its mean. Otherwise a fold
would decide against a class with fewer blocks, and permutations, which unbalance the folds, would
perform worse than the true classes for this reason alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.selection import Selection
from rtdecode.types import Float32, Float64

MIN_SHRINKAGE = 1e-3
"""With fewer volumes than features, zero shrinkage would divide by zero."""

Arrangements = NDArray[np.int64]
"""The class of each block in each of several assignments, (P, blocks); -1 for unused blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The rows that one fit learns from, and the rows that it decodes."""

    train: NDArray[np.int64]
    """The row numbers of the training side, examples and rest."""
    test: NDArray[np.int64]
    """The row numbers to decode."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One training side, prepared independently of the classes of its blocks."""

    counts: Float64
    """(blocks,) number of training volumes of each block. With a prior, one pseudo-block of each
    class follows (`calibration.decoders.prior`)."""
    share: float
    """Factor of the scatter in the covariance."""
    volume_weights: Float64
    """Each block mean times A^-1, as sums of training volumes, (blocks, n)."""
    between: Float64
    """Block means times A^-1 times block means, (blocks, blocks)."""
    tested: Float64
    """Block means times A^-1 times the volumes to decode, (blocks, tested)."""


def prepare_side(
    features: Float32,
    labels: Labels,
    selection: Selection,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
) -> Side:
    """Compute the parts of the discriminant that do not depend on the classes.

    Parameters
    ----------
    features
        (n, F)
    labels
        Labels of the same rows.
    selection
        The features to read.
    train
        The row numbers of the training examples.
    test
        The row numbers of the volumes to decode.
    """
    x = scaled(features, train, selection)
    mean = x.mean(axis=0)
    x -= mean
    y = scaled(features, test, selection) - mean
    gram = x @ x.T
    shrinkage, scale = ledoit_wolf(gram, x.shape[1])
    ridge, share = shrinkage * scale, (1 - shrinkage) / len(train)
    counts = np.bincount(labels.block[train], minlength=len(labels.blocks)).astype(np.float64)
    average = np.zeros((len(counts), len(train)))
    average[labels.block[train], np.arange(len(train))] = 1.0
    average /= np.maximum(counts, 1)[:, None]
    # Z (ridge I + share Z'Z)^-1 = (ridge I + share Z Z')^-1 Z: solve in the space of volumes.
    solved = np.linalg.solve(share * gram + ridge * np.eye(len(train)), average.T)
    weights = np.asarray(solved.T, dtype=np.float64)
    between: Float64 = weights @ gram @ average.T
    tested: Float64 = weights @ (x @ y.T)
    return Side(counts, share, weights, between, tested)


def discriminate(
    side: Side, arrangements: Arrangements, n_classes: int
) -> tuple[Float64, Float64, Float64]:
    """Return the discriminants of each assignment of classes, at a common scale.

    The logits of the training side's block means have a root mean square of 1. Therefore the
    evidence of fits to other features or other numbers of blocks can be added and compared.

    Parameters
    ----------
    side
        Result of `prepare_side`.
    arrangements
        (P, blocks)
    n_classes
        K

    Returns
    -------
    block_weights : ndarray
        (P, K, blocks) weight of each block mean (times A^-1) in a class's discriminant.
    bias : ndarray
        (P, K)
    present : ndarray
        (P, K) whether the class has a training block.
    """
    if len(side.counts) > arrangements.shape[1]:
        known = np.broadcast_to(np.arange(n_classes), (len(arrangements), n_classes))
        arrangements = np.concatenate([arrangements, known], axis=1)
    member = arrangements[:, None, :] == np.arange(n_classes)[:, None]
    weight = member * side.counts
    counts = weight.sum(axis=2)
    average = weight / np.maximum(counts, 1)[:, :, None]
    p = average @ side.between @ average.transpose(0, 2, 1)
    inner = np.eye(n_classes) - p * (side.share * counts)[:, None, :]
    solved = np.linalg.solve(inner, np.concatenate([average, p], axis=2))
    blocks = average.shape[2]
    about_mean = average - side.counts / side.counts.sum()
    noise = about_mean * _block_noise(side, average, p, member)[:, None, :]
    noise = noise @ about_mean.transpose(0, 2, 1)
    # (I - P D)^-1 (P - noise), of which only the diagonal is needed.
    own = np.einsum("pkk->pk", solved[:, :, blocks:] - np.linalg.solve(inner, noise))
    weights, bias, present = solved[:, :, :blocks], -0.5 * own, counts > 0
    scale = _scale(side, weights, bias, present)[:, None]
    return weights / scale[:, :, None], bias / scale, present


def _scale(side: Side, weights: Float64, bias: Float64, present: NDArray[np.bool_]) -> Float64:
    """Return the root mean square of the logits of the training side's block means, (P,)."""
    used = side.counts > 0
    logits = (weights @ side.between + bias[:, :, None])[:, :, used]
    share = present / present.sum(axis=1, keepdims=True)
    logits = logits - np.einsum("pk,pkb->pb", share, logits)[:, None, :]
    square = np.einsum("pk,pkb->p", share, logits**2) / used.sum()
    return np.where(square > 0, np.sqrt(square), 1.0)


def _block_noise(side: Side, average: Float64, p: Float64, member: NDArray[np.bool_]) -> Float64:
    """Return the squared length of the noise in the mean of each block, (P, blocks).

    It is measured in the metric A^-1 from the residuals of block means about their class means, and
    is inversely proportional to the number of volumes. With more features than volumes, noise makes
    the mean of few volumes longer than that of many. Every volume would be less similar to it, and
    a class that is rare on the training side would be decided too seldom (Huang, Tong & Zhao 2010).
    """
    of_mean = np.einsum("pkk->pk", p)
    to_mean = average @ side.between
    residual = np.einsum("bb->b", side.between) - 2 * to_mean + of_mean[:, :, None]
    used = member & (side.counts > 0)
    freedom = used.sum(axis=(1, 2)) - used.any(axis=2).sum(axis=1)
    total = np.where(used, residual * side.counts, 0.0).sum(axis=(1, 2))
    of_volume = np.where(freedom > 0, total / np.maximum(freedom, 1), 0.0)
    noise: Float64 = of_volume[:, None] / np.maximum(side.counts, 1)
    return noise


def logits_of(side: Side, arrangements: Arrangements, n_classes: int) -> Float64:
    """Return the logits of a side's tested volumes for each assignment, (P, tested, K).

    They are centred over classes. A class without a training block (after a permutation) is never
    decided.
    """
    if not side.counts.any():  # nothing was learnt
        return np.zeros((len(arrangements), side.tested.shape[1], n_classes))
    weights, bias, present = discriminate(side, arrangements, n_classes)
    flat = weights.reshape(-1, weights.shape[2]) @ side.tested
    logits = flat.reshape(*weights.shape[:2], -1) + bias[:, :, None]
    if not present.all():
        lowest = np.where(present[:, :, None], logits, np.inf).min(axis=1, keepdims=True)
        logits = np.where(present[:, :, None], logits, lowest - 1)
    logits -= logits.mean(axis=1, keepdims=True)
    return logits.transpose(0, 2, 1)


def ledoit_wolf(gram: Float64, n_features: int) -> tuple[float, float]:
    """Return shrinkage and mean variance of centred samples from their products (n, n).

    The formulae of Ledoit & Wolf (2004), in which features enter through such products only.
    """
    n = len(gram)
    total = float(np.trace(gram)) / n
    squared = float((gram**2).sum()) / n**2
    spread = float((np.diag(gram) ** 2).sum()) / n - squared
    distance = squared - total**2 / n_features
    shrinkage = min(1.0, spread / n / distance) if distance > 0 else 1.0
    return max(shrinkage, MIN_SHRINKAGE), total / n_features


def scaled(features: Float32, rows: NDArray[np.int64], selection: Selection) -> Float64:
    """Return the selected features of some rows, divided by their spreads, (rows, f)."""
    return features[np.ix_(rows, selection.index)].astype(np.float64) / selection.scale
