"""Folds keep what is tested away from what is trained on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.decoders.evaluate import GUARD_S, Fold, describe, folds, held_out
from calibration.decoders.lda import Candidate
from rtdecode.errors import ConfigError


@st.composite
def orders(draw):
    """Return one to three runs in which each of two or three classes has two to four blocks."""
    classes = draw(st.integers(2, 3))
    order = draw(
        st.permutations([c for c in "abc"[:classes] for _ in range(draw(st.integers(2, 4)))])
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=2)))
    return ["".join(order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@given(
    runs=orders(),
    block_s=st.sampled_from([12.0, 16.0, 30.0]),
    pause_s=st.sampled_from([4.0, 8.0, 20.0]),
    repetition_time_s=st.sampled_from([0.72, 2.0, 3.0]),
)
def test_every_volume_is_tested_once_and_no_example_near_what_was_trained_on(
    make_labels, runs, block_s, pause_s, repetition_time_s
):
    """Test sides partition the volumes, blocks stay whole, classes remain, the guard is kept."""
    labels = make_labels(runs, block_s, pause_s, repetition_time_s)
    try:
        split = folds(labels)
    except ConfigError as error:
        assert "too few blocks" in str(error)  # noqa: PT017  # a refusal is allowed, but says why
        return

    assert np.array_equal(sum(fold.test.astype(int) for fold in split), np.ones(len(labels.label)))
    for fold in split:
        assert not (fold.train & fold.test).any()
        assert set(labels.label[fold.train & labels.chosen]) == set(range(labels.n_classes))
        for run in np.unique(labels.run):
            here = labels.run == run
            tested = labels.acquired_s[fold.test & here & labels.chosen]
            apart_s = np.abs(labels.acquired_s[fold.train & here][:, None] - tested)
            assert (apart_s > GUARD_S).all()
        for block in np.unique(labels.block[labels.chosen]):
            assert len(np.unique(fold.test[labels.block == block])) == 1


def test_the_blocks_of_one_run_are_held_out_class_by_class(make_labels):
    """The first block of each class goes first, then the second, and so on."""
    labels = make_labels(["abbaab"])

    split = folds(labels)

    tested = [set(labels.block[fold.test & labels.chosen]) for fold in split]
    assert tested == [{0, 1}, {2, 3}, {4, 5}]
    assert describe(labels, split) == (
        "leave one block of each class out, 3 folds, 8 s guard, 1 run"
    )


def test_there_are_never_more_than_five_folds(make_labels):
    """Ten blocks of a class are held out two at a time."""
    labels = make_labels(["ab" * 10])

    tested = [set(labels.block[fold.test & labels.chosen]) for fold in folds(labels)]

    assert len(tested) == 5
    assert all(len(blocks) == 4 for blocks in tested)


def test_whole_runs_are_held_out_where_each_has_every_class(make_labels):
    """Runs are more independent than blocks."""
    labels = make_labels(["ab", "ba", "abab"])

    split = folds(labels)

    assert [set(labels.run[fold.test]) for fold in split] == [{0}, {1}, {2}]
    assert all((fold.train == ~fold.test).all() for fold in split)
    assert describe(labels, split) == "leave one run out, 3 folds, 8 s guard, 3 runs"


def test_runs_without_every_class_are_split_by_blocks(make_labels):
    """A run of one class cannot be tested on its own; its volumes still are tested once."""
    labels = make_labels(["abab", "aa"])

    split = folds(labels)

    assert len(split) == 4
    assert np.array_equal(sum(fold.test.astype(int) for fold in split), np.ones(len(labels.label)))


def test_rest_goes_with_the_nearest_block(make_labels):
    """A volume between two blocks is tested with the one whose response is nearer."""
    labels = make_labels(["abab"], pause_s=20.0)
    test = folds(labels)[0].test

    # The second block's response ends at 20 + 36 + 16 + 5 = 77 s, the third's begins at 97 s.
    assert test[labels.acquired_s < 86].all()
    assert not test[labels.acquired_s > 88].any()


def test_blocks_lost_to_the_guard_are_refused(make_labels):
    """A class whose other blocks all touch the held-out ones cannot be trained on."""
    labels = make_labels(["abba"], block_s=4.0, pause_s=0.0)

    with pytest.raises(ConfigError, match="too close together, to hold one out; add a run"):
        folds(labels)


class Neighbour:
    """Decodes a volume as the training volume that looks most like it."""

    def __init__(self, features, rows):
        self.features, self.label = features[rows.chosen], rows.label[rows.chosen]
        self.n_classes = rows.n_classes

    def log_probabilities(self, features):
        """Return 0 for the neighbour's class and -1 for others."""
        away = ((features[:, None] - self.features) ** 2).sum(axis=2)
        return np.eye(self.n_classes)[self.label[away.argmin(axis=1)]] - 1.0


def test_labels_shuffled_over_blocks_are_decoded_at_chance(make_labels, rng):
    """Held-out blocks are at chance on drift alone, where random volumes would look decodable."""
    blocked, random = [], []
    for _ in range(12):
        labels = make_labels(["abcdcdabbadc"])
        labels = labels.with_block_labels(rng.permutation(labels.block_labels()))
        drift = rng.standard_normal((len(labels.label), 5)).cumsum(axis=0).astype(np.float32)
        candidate = Candidate("drift", "control", drift, Neighbour)
        test = rng.random(len(labels.label)) < 0.3
        at_random = (Fold(test, ~test), Fold(~test, test))
        for split, found in ((folds(labels), blocked), (at_random, random)):
            decided = held_out(candidate, labels, split).argmax(axis=1)
            found.append((decided == labels.label)[labels.chosen].mean())

    assert 0.1 < np.mean(blocked) < 0.35
    assert np.mean(random) > 0.7


def test_a_fit_sees_examples_and_rest_of_its_own_side_only(make_labels):
    """Each fold's fit is given the training side's examples and rest, with their own labels."""
    labels = make_labels(["abbaab"])
    times = labels.acquired_s[:, None].astype(np.float32)
    seen = []

    def fit(features, rows):
        assert np.array_equal(features[:, 0], rows.acquired_s.astype(np.float32))
        assert (rows.chosen | rows.rest).all()
        seen.append(set(features[:, 0]))
        return Neighbour(features, rows)

    split = folds(labels)
    told = []
    candidate = Candidate("time", "control", times, fit)
    held_out(candidate, labels, split, lambda *step: told.append(step))

    for fold, trained in zip(split, seen, strict=True):
        assert not trained & set(times[fold.test, 0])
        assert trained <= set(times[fold.train, 0])
    assert told[-1][1:] == (3, 3)
