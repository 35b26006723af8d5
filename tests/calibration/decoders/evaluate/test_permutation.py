"""Permutation counts what exchangeable labels would do."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.decoders.evaluate import folds, held_out, permutation_test
from calibration.decoders.evaluate.permutation import _distinct
from calibration.decoders.lda import Candidate


class NearestMean:
    """Decides by the nearer class mean of the first feature."""

    def __init__(self, features, rows):
        shown = set(rows.label[rows.chosen])
        self.means = np.array(
            [features[rows.label == c, 0].mean() if c in shown else np.inf
             for c in range(rows.n_classes)]
        )  # fmt: skip

    def log_probabilities(self, features):
        """Return the negative distance to each mean."""
        return -np.abs(features[:, :1] - self.means).astype(np.float64)


def pipeline_on(features, labels):
    """Return a pipeline with the folds of the true labels, as calibration has."""
    split = folds(labels)
    candidate = Candidate("c", "linear", features, NearestMean)

    def pipeline(arrangements):
        relabelled = [labels.with_block_labels(of) for of in arrangements]
        return np.stack([held_out(candidate, other, split) for other in relabelled])

    return pipeline


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3))
def test_every_order_is_listed_once(counts):
    """Distinct orders are those of all permutations, without repeats."""
    members = [c for c, n in enumerate(counts) for _ in range(n)]

    listed = [tuple(order) for order in _distinct(counts)]

    assert len(listed) == len(set(listed))
    assert set(listed) == set(permutations(members))


def test_few_arrangements_are_all_tried(make_labels):
    """Perfect decoding of eight blocks is equalled by its mirror only: p = 2/70."""
    labels = make_labels(["abbaabab"], pause_s=20.0)
    features = np.where(labels.label == 1, 1.0, 0.0).astype(np.float32)[:, None]

    found = permutation_test(pipeline_on(features, labels), labels, 1000, 0)

    assert found.exact
    assert found.permutations == 70
    assert found.p_value == pytest.approx(2 / 70)


def test_labels_stay_in_their_runs(make_labels):
    """Each run keeps how many blocks of each class it has."""
    labels = make_labels(["aabb", "aaab"])
    seen = []

    def pipeline(arrangements):
        seen.extend(arrangements)
        return np.zeros((len(arrangements), len(labels.label), 2))

    found = permutation_test(pipeline, labels, 8, 0)

    assert not found.exact
    assert len(seen) == 9
    assert {int(arrangement[:4].sum()) for arrangement in seen} == {2}
    assert {int(arrangement[4:].sum()) for arrangement in seen} == {1}


def test_few_arrangements_of_several_runs_are_all_tried(make_labels):
    """Each order of the first run is tried with each order of the second: 6 times 4."""
    labels = make_labels(["aabb", "aaab"])
    seen = []

    def pipeline(arrangements):
        seen.extend(map(tuple, arrangements))
        return np.zeros((len(arrangements), len(labels.label), 2))

    found = permutation_test(pipeline, labels, 24, 0)

    assert found == (1.0, 24, True)
    assert len(set(seen)) == 24


def test_a_test_that_is_cancelled_gives_no_p(make_labels):
    """Fewer permutations would be another test, and depend on how fast the machine is."""
    labels = make_labels(["abbaabab" * 2], pause_s=20.0)
    features = np.where(labels.label == 1, 1.0, 0.0).astype(np.float32)[:, None]
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) > 2

    found = permutation_test(pipeline_on(features, labels), labels, 300, 0, cancelled=cancelled)

    assert found == (None, 0, False)


def test_p_is_uniform_where_labels_mean_nothing(make_labels, rng):
    """Drifting features, whose neighbours look alike, are significant by chance only."""
    labels = make_labels(["abbabaab"], pause_s=12.0, repetition_time_s=4.0)
    found = []
    for seed in range(60):
        shuffled = labels.with_block_labels(rng.permutation(labels.block_labels()))
        noise = rng.standard_normal((len(labels.label), 1)).cumsum(axis=0).astype(np.float32)
        pipeline = pipeline_on(noise, labels)
        found.append(permutation_test(pipeline, shuffled, 19, seed).p_value)

    # Of 60 p-values that are uniform on 1/20 ... 20/20: 3, 15 and 30 expected, 3 standard errors.
    found = np.array(found)
    assert (found <= 0.05).sum() <= 8
    assert (found <= 0.25).sum() <= 25
    assert (found <= 0.5).sum() <= 42
