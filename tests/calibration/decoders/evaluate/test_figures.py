"""Figures against figures worked out by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest

from calibration.decoders.evaluate import (
    accuracy,
    least_right,
    log_loss,
    metrics,
    read_out_figures,
    windows,
)


def sure(decided, n_classes=2, probability=0.9):
    """Return log-probabilities that give 0.9 to the class decided."""
    other = (1 - probability) / (n_classes - 1)
    return np.log(np.where(np.eye(n_classes, dtype=bool)[decided], probability, other))


def truth_of(labels):
    """Return what was shown, class 0 where nothing was."""
    return np.where(labels.label < 0, 0, labels.label)


def everything(labels):
    """Return that every volume counts."""
    return np.ones(len(labels.label), dtype=bool)


def scored(evidence, labels, window_volumes):
    """Return the accuracy of evidence and of its windows."""
    return accuracy(evidence, windows(evidence, labels, everything(labels), window_volumes), labels)


def judged(evidence, labels, window_volumes, none_threshold, split):
    """Return all figures of evidence and of its windows."""
    usable = everything(labels)
    served = windows(evidence, labels, usable, window_volumes)
    return metrics(evidence, served, labels, usable, none_threshold, split)


def test_balanced_accuracy_at_three_grains(make_labels):
    """Volumes, windows and blocks count as worked out by hand."""
    labels = make_labels(["abab"])
    decided = truth_of(labels)
    # The first two of block 1's eight volumes say a; all of block 3's do.
    decided[np.flatnonzero(labels.block == 1)[:2]] = 0
    decided[labels.block == 3] = 0

    found = scored(sure(decided), labels, 1)

    assert found.volume == pytest.approx((1 + 6 / 16) / 2)
    assert found.window == found.volume
    assert found.block == pytest.approx((1 + 1 / 2) / 2)
    interval = binomtest(3, 4).proportion_ci(method="wilson")
    assert found.interval_95_block == pytest.approx((interval.low, interval.high), abs=0.02)
    assert found.interval_95_volume[0] < found.volume < found.interval_95_volume[1]


def test_the_window_is_scored_as_served(make_labels):
    """A window of three volumes is still wrong at the first of a block, right from the second."""
    labels = make_labels(["abab"], pause_s=0.0)

    found = scored(sure(truth_of(labels)), labels, 3)

    # Block 0 follows volumes that say a; each of the other three has one wrong window of eight.
    assert found.volume == 1
    assert found.window == pytest.approx((15 / 16 + 14 / 16) / 2)


def test_classes_with_many_blocks_count_no_more(make_labels):
    """Saying the commonest class everywhere is chance."""
    labels = make_labels(["abaaab"])

    found = scored(sure(np.zeros(len(labels.label), dtype=int)), labels, 4)

    assert found.volume == found.window == found.block == 0.5


def test_the_volumes_interval_covers_the_truth(make_labels, rng):
    """With four blocks a class the interval holds the true share about as often as it says."""
    labels = make_labels(["abcabcabcabc"])
    held = 0
    for _ in range(120):
        share = np.clip(rng.normal(0.6, 0.15, size=12), 0, 1)
        right = rng.random(len(labels.label)) < share[labels.block]
        decided = np.where(right, truth_of(labels), (truth_of(labels) + 1) % 3)
        low, high = scored(sure(decided, 3), labels, 1).interval_95_volume
        held += low <= 0.6 <= high

    assert 0.8 < held / 120 <= 1.0


@pytest.mark.parametrize(
    ("n_blocks", "n_classes", "least"),
    [(16, 4, 8), (8, 4, 5), (20, 4, 9), (16, 2, 12), (20, 2, 15), (12, 6, 5), (4, 2, None)],
)
def test_the_least_number_of_right_blocks(n_blocks, n_classes, least):
    """Four classes need 8 of 16 blocks; two classes with four blocks can show nothing."""
    assert least_right(n_blocks, n_classes) == least


def test_all_figures_of_a_good_decoder(make_labels):
    """Everything in one place, each consistent with the others."""
    labels = make_labels(["abbaabab"], pause_s=24.0)
    decided = truth_of(labels)
    decided[labels.block == 7] = 0
    evidence = sure(decided)
    evidence[labels.label < 0] = np.log(0.5)

    found = judged(evidence, labels, 4, 0.6, "by blocks")

    assert (found.n_blocks, found.n_volumes, found.chance) == (8, 64, 0.5)
    assert found.confusion == ((4, 0), (1, 3))
    assert found.accuracy.block == 7 / 8
    assert found.p_value is None
    assert found.missed_blocks == 1
    # The window of four outlasts each block by a volume or two.
    assert 0 < found.false_alarm_rate < 0.3
    assert 5 < found.onset_latency_s < 15
    assert 0 < found.log_loss < np.log(2)
    assert 0 < found.brier < 0.5
    assert 0 <= found.expected_calibration_error < 0.5
    assert any("at least 7 must be right" in note for note in found.notes)


def test_knowing_nothing_scores_as_documented(make_labels):
    """Uniform predictions of four classes cost log 4 and a Brier score of 0.75."""
    labels = make_labels(["abcdabcd"])
    evidence = np.log(np.full((len(labels.label), 4), 0.25))

    found = judged(evidence, labels, 4, 0.0, "none")

    assert found.log_loss == pytest.approx(np.log(4))
    assert found.brier == pytest.approx(0.75)


def test_log_loss_is_of_examples_only(make_labels):
    """What is said of rest costs nothing."""
    labels = make_labels(["abab"])
    evidence = sure(truth_of(labels), probability=0.8)
    evidence[~labels.chosen] = -50.0

    assert log_loss(evidence, labels) == pytest.approx(-np.log(0.8))


def test_too_few_blocks_are_said_to_be_too_few(make_labels):
    """Four blocks of two classes can show nothing, and the notes say so."""
    labels = make_labels(["abab"])

    found = judged(sure(truth_of(labels)), labels, 2, 0.0, "by blocks")

    assert any("too few: even if all were decoded right" in note for note in found.notes)


def test_a_read_outs_figures_are_the_decoders_own(make_labels):
    """The same stream gives the same share, log-loss and latency in either table."""
    labels = make_labels(["abbaabab"], pause_s=24.0)
    decided = truth_of(labels)
    decided[labels.block == 7] = 0
    evidence = sure(decided)
    served = windows(evidence, labels, everything(labels), 4)
    whole = metrics(evidence, served, labels, everything(labels), 0.6, "by blocks")

    found = read_out_figures("window of 8 s", "window", served, labels, 0.6)

    assert (found.name, found.kind) == ("window of 8 s", "window")
    assert found.accuracy == whole.accuracy.window
    assert found.interval_95 == whole.accuracy.interval_95_window
    assert found.log_loss == whole.log_loss
    assert found.onset_latency_s == whole.onset_latency_s
    assert found.missed_blocks == whole.missed_blocks == 1
