"""Could it be chance? Permutation of the blocks' labels before everything else."""

from collections.abc import Callable, Iterator
from math import factorial, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.dataset import Labels
from calibration.progress import Progress, silent
from rtdecode.clock import Clock, SystemClock
from rtdecode.types import Float64


class PermutationTest(NamedTuple):
    """How often chance did as well."""

    p_value: float
    permutations: int
    exact: bool
    """Whether every arrangement was tried, and not a sample."""


def permutation_test(
    pipeline: Callable[[Labels], Float64],
    labels: Labels,
    permutations: int,
    seconds: float,
    seed: int,
    progress: Progress = silent,
    clock: Clock | None = None,
) -> PermutationTest:
    """Repeat the whole pipeline with the classes of the blocks permuted within each run.

    The statistic is the balanced accuracy of held-out volumes: that of blocks has too few values.
    Only permuting before the whole cross-validation is valid (Ojala & Garriga 2010; Valente et al.
    2021). Where there are no more arrangements than `permutations`, every one is tried.

    Parameters
    ----------
    pipeline
        From labels to held-out log-probabilities (n, K), every choice included.
    labels
        The true ones.
    permutations, seconds
        How many at most, and how long.
    seed
        Of the sampling.
    progress
        Told how far it has come.
    clock
        What measures the time.
    """
    clock = clock or SystemClock()
    until_ns = clock.monotonic_ns() + int(seconds * 1e9)
    of = labels.block_labels()
    true = _statistic(pipeline(labels), labels)
    runs = np.array([block.run for block in labels.blocks])
    arrangements, exact = _arrangements(of, runs, permutations, seed)
    hits = tried = 0
    for done, arrangement in enumerate(arrangements, start=1):
        relabelled = labels.with_block_labels(arrangement)
        hits += _statistic(pipeline(relabelled), relabelled) >= true - 1e-9
        tried += 1
        progress("permute blocks", done, permutations)
        if clock.monotonic_ns() >= until_ns:
            exact = False
            break
    progress("permute blocks", permutations, permutations)
    # The true arrangement is among the exact ones; a sample counts it once more.
    p_value = hits / tried if exact else (1 + hits) / (1 + tried)
    return PermutationTest(p_value, tried, exact)


def _statistic(evidence: Float64, labels: Labels) -> float:
    rows = np.flatnonzero(labels.chosen)
    right = evidence[rows].argmax(axis=1) == labels.label[rows]
    counts = np.bincount(labels.label[rows], minlength=labels.n_classes)
    hits = np.bincount(labels.label[rows], weights=right, minlength=labels.n_classes)
    return float((hits / np.maximum(counts, 1)).mean())


def _arrangements(
    of: NDArray[np.int64], runs: NDArray[np.int64], most: int, seed: int
) -> tuple[Iterator[NDArray[np.int64]], bool]:
    shown = np.flatnonzero(of >= 0)
    if len(np.unique(runs[shown])) == 1:
        counts = np.bincount(of[shown])
        if factorial(len(shown)) // prod(factorial(int(n)) for n in counts) <= most:
            return (_placed(of, shown, each) for each in _distinct(list(counts))), True
    return _sampled(of, runs, shown, most, seed), False


def _sampled(
    of: NDArray[np.int64], runs: NDArray[np.int64], shown: NDArray[np.int64], most: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    for _ in range(most):
        permuted = of.copy()
        for run in np.unique(runs[shown]):
            here = shown[runs[shown] == run]
            permuted[here] = rng.permutation(of[here])
        yield permuted


def _placed(
    of: NDArray[np.int64], shown: NDArray[np.int64], arrangement: list[int]
) -> NDArray[np.int64]:
    permuted = of.copy()
    permuted[shown] = arrangement
    return permuted


def _distinct(counts: list[int]) -> Iterator[list[int]]:
    """Yield every distinct order of so many of each class."""
    if not any(counts):
        yield []
    for c, count in enumerate(counts):
        if count:
            rest = [n - (k == c) for k, n in enumerate(counts)]
            yield from ([c, *tail] for tail in _distinct(rest))
