"""Performance figures of held-out evidence."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from calibration.data.labels import Labels
from rtdecode.metrics import LEVEL, Accuracy, Metrics, ReadOutFigures, ReadOutKind
from rtdecode.types import Bool, Float64

DRAWS = 2000
"""Samples of the bootstrap."""
IN_A_ROW = 3
"""Consecutive correct decisions that count as stable."""
BINS = 10


def accuracy(evidence: Float64, served: Float64, labels: Labels) -> Accuracy:
    """Return balanced accuracy of volumes, decisions and blocks.

    The intervals of volumes and decisions are bootstrap percentiles over blocks, within classes.
    That of blocks is Wilson's, which does not collapse when all of a few blocks are correct.

    Parameters
    ----------
    evidence
        (n, K) held-out log-probabilities of all volumes.
    served
        (n, K) log-probabilities of the decision read-out.
    labels
        Of the same volumes.
    """
    truth, decided = _blocks(evidence, labels)
    right = int((truth == decided).sum())
    wilson = binomtest(right, len(truth)).proportion_ci(method="wilson")
    volume, volume_interval = _bootstrap(evidence, labels)
    of_window, window_interval = _bootstrap(served, labels)
    return Accuracy(
        volume=volume,
        window=of_window,
        block=_balanced(decided, truth),
        interval_95_volume=volume_interval,
        interval_95_window=window_interval,
        interval_95_block=(float(wilson.low), float(wilson.high)),
    )


def metrics(
    evidence: Float64,
    served: Float64,
    labels: Labels,
    usable: Bool,
    none_threshold: float,
    split: str,
) -> Metrics:
    """Return all figures of held-out evidence, without the permutation test.

    Parameters
    ----------
    evidence
        (n, K) held-out log-probabilities of all volumes.
    served
        (n, K) log-probabilities of the decision read-out.
    labels, usable
        Of the same volumes.
    none_threshold
        Threshold of the decision read-out.
    split
        How the data were held out, in words.
    """
    rows = np.flatnonzero(labels.chosen)
    probabilities = np.exp(served[rows])
    shown = np.eye(labels.n_classes)[labels.label[rows]]
    truth, decided = _blocks(evidence, labels)
    confusion = np.zeros((labels.n_classes, labels.n_classes), dtype=int)
    np.add.at(confusion, (truth, decided), 1)
    latencies_s = _latencies_s(served, labels, none_threshold)
    idle = labels.rest & usable
    alarms = np.exp(served[idle].max(axis=1)) >= none_threshold
    return Metrics(
        split=split,
        n_blocks=len(truth),
        n_volumes=len(rows),
        chance=1 / labels.n_classes,
        accuracy=accuracy(evidence, served, labels),
        p_value=None,
        permutations=0,
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
        log_loss=log_loss(served, labels),
        brier=float(((probabilities - shown) ** 2).sum(axis=1).mean()),
        expected_calibration_error=_calibration_error(probabilities, labels.label[rows]),
        false_alarm_rate=float(alarms.mean()) if len(alarms) else None,
        onset_latency_s=float(np.median(latencies_s)) if latencies_s else None,
        missed_blocks=len(truth) - len(latencies_s),
        notes=_notes(len(truth), int((truth == decided).sum()), labels.n_classes),
    )


def read_out_figures(
    name: str, kind: ReadOutKind, served: Float64, labels: Labels, none_threshold: float
) -> ReadOutFigures:
    """Return the held-out performance of one read-out.

    Parameters
    ----------
    name, kind
        Of the read-out.
    served
        (n, K) its held-out log-probabilities along the runs.
    labels
        Of the same volumes.
    none_threshold
        Minimum of the largest probability.
    """
    share, interval = _bootstrap(served, labels)
    latencies_s = _latencies_s(served, labels, none_threshold)
    return ReadOutFigures(
        name=name,
        kind=kind,
        accuracy=share,
        interval_95=interval,
        log_loss=log_loss(served, labels),
        onset_latency_s=float(np.median(latencies_s)) if latencies_s else None,
        missed_blocks=len(np.unique(labels.block[labels.chosen])) - len(latencies_s),
    )


def log_loss(log_probabilities: Float64, labels: Labels) -> float:
    """Return the mean negative log-probability of the true class over examples."""
    rows = np.flatnonzero(labels.chosen)
    return -float(log_probabilities[rows, labels.label[rows]].mean())


def least_right(n_blocks: int, n_classes: int) -> int | None:
    """Return the number of correct blocks needed for p < 0.05 (binomial, one-sided).

    `None` if even all blocks are not enough.
    """
    for right in range(n_blocks + 1):
        if binom.sf(right - 1, n_blocks, 1 / n_classes) < LEVEL:
            return right
    return None


def _notes(n_blocks: int, right: int, n_classes: int) -> tuple[str, ...]:
    least = least_right(n_blocks, n_classes)
    if least is None:
        return (
            f"{n_blocks} blocks are too few: even if all were decoded right, chance could not be "
            "excluded (p < 0.05); scan more blocks",
        )
    notes = [
        f"with {n_blocks} blocks of {n_classes} classes at least {least} must be right to exclude "
        f"chance (p < 0.05, binomial); {right} were"
    ]
    if n_blocks < 20:
        notes.append(
            f"{n_blocks} blocks leave the accuracy uncertain by tens of per cent: see the interval"
        )
    return tuple(notes)


def _blocks(evidence: Float64, labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the true and the decoded class of each block."""
    rows = np.flatnonzero(labels.chosen)
    numbers, place = np.unique(labels.block[rows], return_inverse=True)
    total = np.zeros((len(numbers), labels.n_classes))
    np.add.at(total, place, evidence[rows])
    return labels.block_labels()[numbers], total.argmax(axis=1)


def _bootstrap(evidence: Float64, labels: Labels) -> tuple[float, tuple[float, float]]:
    """Return balanced accuracy over examples, and its interval by drawing blocks."""
    rows = np.flatnonzero(labels.chosen)
    right = evidence[rows].argmax(axis=1) == labels.label[rows]
    numbers, place = np.unique(labels.block[rows], return_inverse=True)
    of_block = np.bincount(place, weights=right), np.bincount(place).astype(np.float64)
    truth = labels.block_labels()[numbers]
    rng = np.random.default_rng(0)
    point, drawn = [], []
    for c in np.unique(truth):
        mine = np.flatnonzero(truth == c)
        draws = rng.choice(mine, (DRAWS, len(mine)))
        hits, all_of = (part[draws].sum(axis=1) for part in of_block)
        drawn.append(hits / all_of)
        point.append(of_block[0][mine].sum() / of_block[1][mine].sum())
    low, high = np.percentile(np.mean(drawn, axis=0), (2.5, 97.5))
    return float(np.mean(point)), (float(low), float(high))


def _calibration_error(probabilities: Float64, label: NDArray[np.int64]) -> float:
    """Return the expected calibration error over bins of equal size (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == label
    bins: Sequence[NDArray[np.int64]] = np.array_split(
        np.argsort(confidence, kind="stable"), min(BINS, max(1, len(label) // 5))
    )
    gaps = [len(b) * abs(float(confidence[b].mean() - right[b].mean())) for b in bins]
    return sum(gaps) / len(label)


def _latencies_s(served: Float64, labels: Labels, threshold: float) -> list[float]:
    """Return the time from onset to a stable correct decision, of blocks that have one."""
    decided = np.exp(served.max(axis=1)) >= threshold
    found = []
    of = labels.block_labels()
    for number, block in enumerate(labels.blocks):
        if of[number] < 0:
            continue
        here = np.flatnonzero(
            (labels.run == block.run)
            & (labels.acquired_s >= block.onset_s)
            & (labels.acquired_s < block.end_s + labels.lag_s)
        )
        right = decided[here] & (served[here].argmax(axis=1) == of[number])
        for first in range(len(here) - IN_A_ROW + 1):
            if right[first : first + IN_A_ROW].all():
                found.append(float(labels.acquired_s[here[first]] - block.onset_s))
                break
    return found


def _balanced(predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    return float(np.mean([(predicted[truth == c] == c).mean() for c in np.unique(truth)]))
