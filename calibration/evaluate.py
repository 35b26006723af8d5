"""How well a head decodes blocks that it was not fitted to."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from calibration.dataset import Labels
from rtdecode.bundle import Metrics

GUARD_S = 8.0
"""Training volumes closer than this to a held-out one are left out: neighbours share noise."""

Fit = Callable[
    [NDArray[np.float32], NDArray[np.int64], int],
    Callable[[NDArray[np.float32]], NDArray[np.float64]],
]
"""(features, labels, classes) -> a function from features to log-probabilities (n, classes)."""


def held_out_log_probabilities(
    features: NDArray[np.float32], labels: Labels, fit: Fit
) -> NDArray[np.float64]:
    """Return (volumes, classes) log-probabilities, each from a fit without that volume's block.

    Each fold holds out one block of every class; `nan` for volumes of no class.
    """
    result = np.full((len(features), len(labels.classes)), np.nan)
    for fold in _folds(labels):
        test = np.isin(labels.block, fold)
        near = np.abs(labels.acquired_s[:, None] - labels.acquired_s[None, test]).min(axis=1)
        train = labels.chosen & ~test & (near > GUARD_S)
        decode = fit(features[train], labels.label[train], len(labels.classes))
        result[test] = decode(features[test])
    return result


def score(log_probabilities: NDArray[np.float64], labels: Labels, baseline: str) -> Metrics:
    """Balanced accuracy of held-out volumes and blocks, with chance and interval.

    A block's decision is the class with the highest mean log-probability over its volumes; the
    interval is Wilson's over blocks, which are the independent samples.
    """
    chosen = labels.chosen
    predicted = log_probabilities[chosen].argmax(axis=1)
    numbers = np.unique(labels.block[chosen])
    truth = np.array([labels.label[labels.block == n][0] for n in numbers])
    of_block = np.array([log_probabilities[labels.block == n].mean(axis=0) for n in numbers])
    right = int((of_block.argmax(axis=1) == truth).sum())
    interval = binomtest(right, len(numbers)).proportion_ci(method="wilson")
    return Metrics(
        split=(
            f"leave one block of each class out, {len(_folds(labels))} folds, "
            f"{GUARD_S:g} s guard, one run"
        ),
        n_blocks=len(numbers),
        n_volumes=int(chosen.sum()),
        chance=1 / len(labels.classes),
        balanced_accuracy_volume=_balanced(predicted, labels.label[chosen]),
        balanced_accuracy_block=_balanced(of_block.argmax(axis=1), truth),
        interval_95_block=(float(interval.low), float(interval.high)),
        baseline=baseline,
    )


def _folds(labels: Labels) -> list[list[int]]:
    """Group block numbers so that each group has at most one block of each class."""
    by_class = [
        [n for n, block in enumerate(labels.blocks) if block.trial_type == name]
        for name in labels.classes
    ]
    most = max(len(numbers) for numbers in by_class)
    return [[numbers[k] for numbers in by_class if k < len(numbers)] for k in range(most)]


def _balanced(predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    return float(np.mean([(predicted[truth == c] == c).mean() for c in np.unique(truth)]))
