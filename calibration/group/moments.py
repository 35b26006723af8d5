"""Class means and variances of features, by person and over people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.selection import SPREAD_FLOOR
from rtdecode.types import Bool, Float32, Float64

N_FEATURES = 3000
"""Number of features of each layer that a study describes."""
MIN_PRESENCE = 0.5
"""Share of people who must have a voxel or slice."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over people of class means and variances, on the whole grid.

    Those of one person are the sums over this person. Sums can be added and subtracted, so leaving
    a person out needs no second pass.
    """

    people: Float32
    """(F,) number of people who have the feature."""
    means: Float32
    """(K, F) sum of class means."""
    variance: Float32
    """(F,) sum of variances within classes."""

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.people + other.people,
            self.means + other.means,
            self.variance + other.variance,
        )

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(
            self.people - other.people,
            self.means - other.means,
            self.variance - other.variance,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FeatureChoice:
    """The features that a study describes."""

    index: NDArray[np.int64]
    """(f,) positions on the whole grid, ascending."""
    scale: Float64
    """(f,) spread within people and classes."""
    means: Float64
    """(K, f) class means, divided by the spread."""


def person_moments(
    features: Float32, labels: Labels, positions: NDArray[np.int64], total: int
) -> Moments:
    """Return the moments of one person.

    Parameters
    ----------
    features
        (n, F)
    labels
        Labels of the same rows; every class has an example.
    positions, total
        From `grid_positions`.
    """
    means = np.zeros((labels.n_classes, total), np.float32)
    variance, people = np.zeros((2, total), np.float32)
    people[positions] = 1
    own, within = class_means(features, labels)
    means[:, positions], variance[positions] = own, within
    return Moments(people, means, variance)


def class_means(features: Float32, labels: Labels) -> tuple[Float32, Float32]:
    """Return the mean of each class (K, F), and the variance within classes (F,)."""
    means = np.empty((labels.n_classes, features.shape[1]), np.float32)
    square = np.zeros(features.shape[1], np.float32)
    for c in range(labels.n_classes):
        x = features[labels.label == c].astype(np.float32)
        means[c] = x.mean(axis=0)
        square += ((x - means[c]) ** 2).sum(axis=0)
    freedom = max(1, int(labels.chosen.sum()) - labels.n_classes)
    return means, (square / freedom).astype(np.float32)


def choose_features(moments: Moments, n_people: int, n_features: int = N_FEATURES) -> FeatureChoice:
    """Choose the features whose class means differ most, relative to the variance within classes.

    Parameters
    ----------
    moments
        Sums over people.
    n_people
        Number of these people.
    n_features
        Number of features to choose.
    """
    means = moments.means / np.maximum(moments.people, 1)
    scale = spread_within(moments)
    usual = moments.people >= MIN_PRESENCE * n_people
    effect = np.sqrt(((means - means.mean(axis=0)) ** 2).mean(axis=0))
    score = np.where(usual, effect / scale, -1.0)
    # Sorted by value and then by position, so that ties give the same result on every machine.
    order = np.lexsort((np.arange(len(score)), -score))[:n_features]
    index = np.sort(order[score[order] > 0])
    return FeatureChoice(index, scale[index], means[:, index] / scale[index])


def spread_within(moments: Moments) -> Float64:
    """Return the spread of each feature within people and classes, (F,), with a floor."""
    variance = (moments.variance / np.maximum(moments.people, 1)).astype(np.float64)
    positive = variance[variance > 0]
    floor = SPREAD_FLOOR**2 * float(np.median(positive)) if len(positive) else 1.0
    return np.sqrt(variance + floor)


def spread_between(means: Sequence[Float32], present: Sequence[Bool]) -> Float32:
    """Return the standard deviation between people of their class means, (K, f).

    Parameters
    ----------
    means
        (K, f) of each person.
    present
        (f,) whether each person has the feature.
    """
    x, weight = np.stack(means), np.stack(present)[:, None, :].astype(np.float64)
    n = np.maximum(weight.sum(axis=0), 1)
    mean = (x * weight).sum(axis=0) / n
    variance = (((x - mean) ** 2) * weight).sum(axis=0) / np.maximum(n - 1, 1)
    return np.sqrt(variance).astype(np.float32)
