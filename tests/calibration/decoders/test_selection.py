"""Features are selected by the task, never by which class a block has."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.decoders.selection import select


def used(labels):
    """Return the rows of a training side that is everything."""
    return [np.flatnonzero(labels.chosen | labels.rest)]


def test_features_are_selected_by_task_against_rest(make_labels, rng):
    """What any task drives is selected; what only tells the classes apart is not."""
    labels = make_labels(["abababab"])
    x = rng.standard_normal((len(labels.label), 40)).astype(np.float32)
    x[labels.label == 0, :20] += 1.0
    x[labels.chosen, 20:] += 1.5

    (found,) = select(x, labels, used(labels), 20)

    assert set(found.index) == set(range(20, 40))


def test_without_rest_features_that_differ_between_neighbours_are_selected(make_labels, rng):
    """A response of some blocks is selected; a slow drift, however large, is not."""
    labels = make_labels(["abababab"])
    labels = replace(labels, rest=np.zeros_like(labels.rest))
    x = rng.standard_normal((len(labels.label), 40)).astype(np.float32)
    x[labels.label == 0, :6] += 3.0
    x[:, 6:12] += np.linspace(0, 12, len(x))[:, None]

    (found,) = select(x, labels, used(labels), 6)

    assert set(found.index) == set(range(6))


@pytest.mark.parametrize("rest", [False, True])
def test_permuting_the_classes_of_blocks_changes_nothing(make_labels, rng, rest):
    """Also where rest is a class."""
    labels = make_labels(["abbaab"], rest=rest)
    x = rng.standard_normal((len(labels.label), 200)).astype(np.float32)
    x[labels.label == 0, :20] += 2.0
    permuted = labels.with_block_labels(rng.permutation(labels.block_labels()))

    (found,), (again,) = (select(x, each, used(each), 30) for each in (labels, permuted))

    assert np.array_equal(found.index, again.index)
    assert np.array_equal(found.scale, again.scale)


def test_each_side_sees_its_own_rows_only(make_labels, rng):
    """What lies outside a training side may hold anything."""
    labels = make_labels(["abababab"])
    x = rng.standard_normal((len(labels.label), 50)).astype(np.float32)
    early = np.flatnonzero((labels.acquired_s < 120) & (labels.chosen | labels.rest))
    spoilt = x.copy()
    spoilt[labels.acquired_s >= 120] = 50.0

    alone, _ = select(x, labels, [early, *used(labels)], 10)
    other, _ = select(spoilt, labels, [early, *used(labels)], 10)

    assert np.array_equal(alone.index, other.index)
    assert np.allclose(alone.scale, other.scale, rtol=1e-3)


def test_the_spread_is_that_within_task_and_rest(make_labels, rng):
    """Against numpy, floor included."""
    labels = make_labels(["abababab"])
    x = (rng.standard_normal((len(labels.label), 7)) * np.arange(1, 8)).astype(np.float32)
    x[labels.chosen] += 5

    (found,) = select(x, labels, used(labels), 7)

    task, idle = x[labels.chosen], x[labels.rest]
    n, m = len(task), len(idle)
    pooled = (n * task.var(axis=0) + m * idle.var(axis=0)) / (n + m)
    assert np.allclose(found.scale, np.sqrt(pooled + 0.01 * np.median(pooled)), rtol=1e-4)


def test_equal_features_are_selected_by_their_place(make_labels):
    """Every machine breaks ties alike."""
    labels = make_labels(["abab"])
    x = np.zeros((len(labels.label), 30), np.float32)
    x[labels.chosen, 10:] = 1.0

    (found,) = select(x, labels, used(labels), 5)

    assert found.index.tolist() == [10, 11, 12, 13, 14]
