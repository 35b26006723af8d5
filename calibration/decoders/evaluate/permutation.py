"""Permutation test of the whole procedure: classes are permuted over blocks before every choice.

The number of permutations is fixed, so the same data and seed give the same p on every machine.
"""

from collections.abc import Callable, Iterator
from itertools import chain, islice, product
from math import factorial, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.discriminant import Arrangements
from calibration.progress import Progress, silent
from rtdecode.types import Float64

BATCH = 100
"""Arrangements that the pipeline processes at a time."""

Pipeline = Callable[[Arrangements], Float64]
"""Returns held-out evidence (P, n, K) for arrangements of classes over blocks, (P, blocks)."""


class PermutationTest(NamedTuple):
    """The result of a permutation test."""

    p_value: float | None
    """`None` if the test was cancelled, because fewer permutations would be another test."""
    permutations: int
    exact: bool
    """Whether every arrangement was tested, not a sample."""


def permutation_test(
    pipeline: Pipeline,
    labels: Labels,
    permutations: int,
    seed: int,
    progress: Progress = silent,
    cancelled: Callable[[], bool] = lambda: False,
) -> PermutationTest:
    """Repeat the whole pipeline with the classes of the blocks permuted within each run.

    The statistic is the balanced accuracy of held-out volumes: that of blocks has too few values.
    Only permuting before the whole cross-validation is valid (Ojala & Garriga 2010; Valente et al.
    2021). Where there are no more arrangements than `permutations`, every one is tried.

    Parameters
    ----------
    pipeline
        Every choice that calibration makes by the classes of the blocks is inside.
    labels
        The true ones.
    permutations
        How many to try.
    seed
        Of the sampling.
    progress
        Called with how many are done.
    cancelled
        Whether there is no more time; asked between batches.
    """
    truth = labels.block_labels()
    runs = np.array([block.run for block in labels.blocks])
    arrangements, count, exact = _arrangements(truth, runs, permutations, seed)
    true = _statistics(pipeline, truth[None], labels)[0]
    hits = done = 0
    while done < count:
        if cancelled():
            return PermutationTest(None, 0, exact=False)
        batch = np.array(list(islice(arrangements, BATCH)))
        hits += int((_statistics(pipeline, batch, labels) >= true - 1e-9).sum())
        done += len(batch)
        progress("permute blocks", done, count)
    # The true arrangement is among the exact ones; a sample counts it once more.
    return PermutationTest(hits / count if exact else (1 + hits) / (1 + count), count, exact)


def _statistics(pipeline: Pipeline, arrangements: Arrangements, labels: Labels) -> Float64:
    """Return the balanced accuracy of held-out volumes in each arrangement, (P,)."""
    rows = np.flatnonzero(labels.chosen)
    truth = arrangements[:, labels.block[rows]]
    right = pipeline(arrangements)[:, rows].argmax(axis=2) == truth
    rates = []
    for c in range(labels.n_classes):
        shown = truth == c
        rates.append((right & shown).sum(axis=1) / np.maximum(shown.sum(axis=1), 1))
    return np.mean(rates, axis=0)


def _arrangements(
    truth: NDArray[np.int64], runs: NDArray[np.int64], most: int, seed: int
) -> tuple[Iterator[NDArray[np.int64]], int, bool]:
    """Return arrangements, how many there are, and whether these are all."""
    shown = np.flatnonzero(truth >= 0)
    places = [shown[runs[shown] == run] for run in np.unique(runs[shown])]
    counts = [np.bincount(truth[place]).tolist() for place in places]
    every = prod(factorial(sum(n)) // prod(factorial(k) for k in n) for n in counts)
    if every <= most:
        orders = product(*(list(_distinct(n)) for n in counts))
        where = np.concatenate(places)
        return (_placed(truth, where, list(chain(*order))) for order in orders), every, True
    return _sampled(truth, places, most, seed), most, False


def _sampled(
    truth: NDArray[np.int64], places: list[NDArray[np.int64]], most: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    for _ in range(most):
        permuted = truth.copy()
        for place in places:
            permuted[place] = rng.permutation(truth[place])
        yield permuted


def _placed(
    truth: NDArray[np.int64], where: NDArray[np.int64], order: list[int]
) -> NDArray[np.int64]:
    permuted = truth.copy()
    permuted[where] = order
    return permuted


def _distinct(counts: list[int]) -> Iterator[list[int]]:
    """Yield every distinct order of so many of each class."""
    if not any(counts):
        yield []
    for c, count in enumerate(counts):
        if count:
            rest = [n - (k == c) for k, n in enumerate(counts)]
            yield from ([c, *tail] for tail in _distinct(rest))
