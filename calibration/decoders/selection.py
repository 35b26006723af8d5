"""Select the features that a linear discriminant reads, without using the classes of blocks.

A permutation of the classes does not change the selection. It is therefore computed once for each
training side and used for every permutation. If there are enough volumes of rest, the selected
features are those with the largest contrast of task and rest. Otherwise, for example if rest is a
class, they are those that differ most between neighbouring blocks, which share slow drifts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from rtdecode.types import Float32, Float64

MIN_REST = 8
"""Volumes of rest that the contrast of task and rest needs on a training side."""
SPREAD_FLOOR = 0.1
"""Share of the typical feature's spread that is added to every feature's."""
CHUNK = 1 << 14
"""Features that are processed together."""


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The features that one discriminant reads."""

    index: NDArray[np.int64]
    """(f,) positions of the selected features, ascending."""
    scale: Float64
    """(f,) spread by which each selected feature is divided."""


def select(
    features: Float32, labels: Labels, sides: Sequence[NDArray[np.int64]], n_features: int
) -> tuple[Selection, ...]:
    """Select features on each of several training sides, in one pass over the features.

    Parameters
    ----------
    features
        (n, F), in single or half precision.
    labels
        Labels of the same rows; only the blocks and rest are used, not the classes.
    sides
        The row numbers of each training side.
    n_features
        Number of features to select.

    Returns
    -------
    One selection for each side.
    """
    plan = _Means(labels, sides)
    n_sides, total = len(sides), features.shape[1]
    effect, variance = np.empty((2, n_sides, total), np.float32)
    centre = features.mean(axis=0, dtype=np.float32)
    for start in range(0, total, CHUNK):
        here = slice(start, start + CHUNK)
        x = features[:, here].astype(np.float32) - centre[here]
        effect[:, here] = plan.effect(x)
        variance[:, here] = plan.variance(x)
    return tuple(_strongest(effect[k], variance[k], n_features) for k in range(n_sides))


class _Means:
    """Weights of the rows in all means that the sides need; equal means are shared."""

    def __init__(self, labels: Labels, sides: Sequence[NDArray[np.int64]]) -> None:
        self._n = len(labels.label)
        self._rows: dict[bytes, int] = {}
        self._weights: list[Float32] = []
        groups, contrasts = [], []
        for rows in sides:
            group, contrast = self._side(labels, rows)
            groups.append(group)
            contrasts.append(contrast)
        weights = np.stack(self._weights)
        # A contrast is the squared difference of two means.
        self._means = weights
        self._groups = _matrix(groups, len(weights))
        pairs = sorted({pair for contrast in contrasts for pair in contrast})
        place = {pair: k for k, pair in enumerate(pairs)}
        first, second = np.array(pairs).T
        self._first, self._second = first, second
        self._contrasts = _matrix(
            [{place[pair]: 1 / len(contrast) for pair in contrast} for contrast in contrasts],
            len(pairs),
        )

    def effect(self, x: Float32) -> Float32:
        """Return each side's root mean square contrast of features (n, f), (sides, f)."""
        means = self._means @ x
        return np.sqrt(self._contrasts @ (means[self._second] - means[self._first]) ** 2)

    def variance(self, x: Float32) -> Float32:
        """Return each side's variance within its groups of rows, (sides, f)."""
        used = np.flatnonzero(self._groups.any(axis=0))
        weights = self._means[used]
        within = weights @ (x * x) - (weights @ x) ** 2
        return np.maximum(self._groups[:, used] @ within, 0)

    def _side(
        self, labels: Labels, rows: NDArray[np.int64]
    ) -> tuple[dict[int, float], list[tuple[int, int]]]:
        """Return the groups of one side with their shares, and its contrasts."""
        examples = rows[labels.chosen[rows]]
        rest = rows[labels.rest[rows]]
        task = self._mean(examples)
        if len(rest) >= MIN_REST:
            idle = self._mean(rest)
            n = len(examples) + len(rest)
            return {task: len(examples) / n, idle: len(rest) / n}, [(idle, task)]
        order = _sort_by_time(labels, np.unique(labels.block[examples]))
        means = [self._mean(examples[labels.block[examples] == block]) for block in order]
        run = [labels.blocks[block].run for block in order]
        pairs = list(zip(means, means[1:], run, run[1:], strict=False))
        within = [(a, b) for a, b, one, other in pairs if one == other]
        return {task: 1.0}, within or [(a, b) for a, b, _, _ in pairs]

    def _mean(self, rows: NDArray[np.int64]) -> int:
        """Return the number of the mean of some rows."""
        weights = np.zeros(self._n, np.float32)
        weights[rows] = 1 / len(rows)
        key = rows.tobytes()
        if key not in self._rows:
            self._rows[key] = len(self._weights)
            self._weights.append(weights)
        return self._rows[key]


def _matrix(rows: Sequence[dict[int, float]], columns: int) -> Float32:
    matrix = np.zeros((len(rows), columns), np.float32)
    for number, row in enumerate(rows):
        for column, value in row.items():
            matrix[number, column] = value
    return matrix


def _sort_by_time(labels: Labels, blocks: NDArray[np.int64]) -> list[int]:
    return sorted(map(int, blocks), key=lambda n: (labels.blocks[n].run, labels.blocks[n].onset_s))


def _strongest(effect: Float32, variance: Float32, n_features: int) -> Selection:
    # A rectified feature that is almost always zero has a tiny spread. Without a floor its weight
    # would be huge, and decisions would depend on rounding errors.
    positive = variance[variance > 0]
    floor = SPREAD_FLOOR**2 * float(np.median(positive)) if len(positive) else 1.0
    spread = np.sqrt(variance.astype(np.float64) + floor)
    score = effect / spread
    count = min(n_features, len(score))
    # Sorted by value and then by position, so that ties give the same result on every machine.
    least = np.partition(score, len(score) - count)[len(score) - count]
    above = np.flatnonzero(score > least)
    equal = np.flatnonzero(score == least)[: count - len(above)]
    index = np.sort(np.concatenate([above, equal]))
    return Selection(index, spread[index])
