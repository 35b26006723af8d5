"""Plain decoders, controls and slow rivals, on data made so that each one's answer is known."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from calibration.budget import Budget
from calibration.decoders.baselines import (
    above_chance,
    fast_baselines,
    fit_logistic,
    slow_baselines,
)
from calibration.decoders.evaluate import folds, held_out
from calibration.networks import DeepLight
from rtdecode.clock import SystemClock
from rtdecode.metrics import Accuracy, Compared

GRID = (12, 14, 8)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture(scope="module")
def network() -> DeepLight:
    """Return a network of three states."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return DeepLight(GRID, 3).eval()


@pytest.fixture
def labels(make_labels):
    """Return twelve blocks of two classes."""
    return make_labels(["abbaabab" + "baba"])


@pytest.fixture
def prepared(labels, halves):
    """Return volumes in which the classes light up two halves of the box."""
    return halves(labels, 0.8)


def _accuracy(candidate, labels):
    evidence = held_out(candidate, labels, folds(labels))
    return (evidence.argmax(axis=1) == labels.label)[labels.chosen].mean()


def test_plain_decoders_find_the_signal_and_controls_do_not(labels, prepared, box, rng) -> None:
    """Grid and parcels decode, motion and time that know nothing are near chance."""
    motion = rng.standard_normal((len(labels.label), 6)).cumsum(axis=0) / 100
    found = {
        one.name: (one.kind, _accuracy(one, labels))
        for one in fast_baselines(prepared, box, AFFINE, motion, labels, 0)
    }
    linear = [accuracy for kind, accuracy in found.values() if kind == "linear"]
    assert len(linear) == 4
    assert min(linear) > 0.85
    assert {kind for name, (kind, _) in found.items() if "alone" in name} == {"control"}
    assert found["time alone"][1] < 0.75


def test_motion_that_goes_with_the_task_is_caught(labels, prepared, box, rng) -> None:
    """A head that nods in one class gives that class away, and it is said."""
    motion = 0.01 * rng.standard_normal((len(labels.label), 6))
    motion[labels.label == 1, 0] += 0.5
    alone = [
        one
        for one in fast_baselines(prepared, box, AFFINE, motion, labels, 0)
        if one.name == "motion alone"
    ]
    assert _accuracy(alone[0], labels) > 0.9
    sure = Accuracy(0.95, 0.95, 1.0, (0.9, 1.0), (0.9, 1.0), (0.7, 1.0))
    unsure = Accuracy(0.6, 0.6, 0.6, (0.4, 0.8), (0.4, 0.8), (0.3, 0.9))
    notes = above_chance(
        [
            Compared("motion alone", "control", sure, 0.1),
            Compared("time alone", "control", unsure, 0.7),
            Compared("voxels", "linear", sure, 0.1),
        ],
        0.5,
    )
    assert len(notes) == 1
    assert notes[0].startswith("motion alone decodes 95%")


@pytest.mark.parametrize("order", ["abab", "abcabc"])
def test_the_logistic_is_scikit_learns(make_labels, rng, order) -> None:
    """Two classes, of which scikit-learn keeps one row, and three."""
    labels = make_labels([order])
    x = rng.standard_normal((len(labels.label), 5)).astype(np.float32)
    x[np.arange(len(x)), np.maximum(labels.label, 0)] += 1
    rows = labels.chosen
    scaled = (x - x[rows].mean(axis=0)) / (x[rows].std(axis=0) * np.sqrt(5))
    known = LogisticRegression(C=100.0, class_weight="balanced", max_iter=500)
    known.fit(scaled[rows], labels.label[rows])

    found = fit_logistic(x[rows], labels.take(rows)).log_probabilities(x)

    np.testing.assert_allclose(np.exp(found), known.predict_proba(scaled), atol=2e-3)


def test_slow_rivals_are_fitted_within_the_folds(network, labels, prepared, box) -> None:
    """Random weights at the same layer, the tuned recurrent layer and a network from scratch."""
    budget = Budget(None, SystemClock())
    rivals = list(slow_baselines(network, prepared, box, 2, 0, budget, "cpu"))
    assert [one.name for one in rivals] == [
        "random weights, same layer",
        "fine-tuned recurrent layer",
        "from scratch, 12 epochs",
    ]
    assert [one.kind for one in rivals] == ["control", "deep", "deep"]
    assert _accuracy(rivals[0], labels) > 0.8
    for one in rivals[1:]:
        few = labels.take(slice(0, 80))
        learnt = one.fit(prepared[:80], few).log_probabilities(prepared[80:84])
        np.testing.assert_allclose(np.exp(learnt).sum(axis=1), 1, rtol=1e-5)
