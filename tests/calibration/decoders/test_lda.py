"""The closed-form head is shrinkage LDA, and stays so for many arrangements of classes at once."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from calibration.decoders.evaluate import folds, held_out
from calibration.decoders.head import log_softmax
from calibration.decoders.lda import (
    Candidate,
    cross_validate,
    fit_lda,
    held_out_logits,
    prepare_sides,
    split_of,
)


def features_of(labels, rng, n_features=40, strength=1.5):
    """Return noise in which each class lifts a few features, and any task some more."""
    x = rng.standard_normal((len(labels.label), n_features)).astype(np.float32)
    for c in range(labels.n_classes):
        x[labels.label == c, 3 * c : 3 * c + 3] += strength
    x[labels.chosen, 20:] += 1
    return x


def test_it_is_scikit_learns_discriminant_on_scaled_features(make_labels, rng):
    """Without a choice of features the decisions are those of a well-known implementation."""
    labels = make_labels(["abcabcabcabc"])
    x = features_of(labels, rng)
    head = fit_lda(x, labels, n_features=40)

    rows = np.flatnonzero(labels.chosen)
    used = np.abs(head.weight).sum(axis=0) > 0
    assert used.all()
    task, idle = x[rows], x[labels.rest]
    n, m = len(task), len(idle)
    pooled = (n * task.var(axis=0) + m * idle.var(axis=0)) / (n + m)
    scaled = x[rows] / np.sqrt(pooled + 0.01 * np.median(pooled))
    known = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[1 / 3] * 3)
    known.fit(scaled, labels.label[rows])

    agree = head.log_probabilities(x[rows]).argmax(axis=1) == known.predict(scaled)
    assert agree.mean() > 0.95
    # Both shrink by Ledoit and Wolf; scikit-learn does so within each class, then pools.
    correlation = np.corrcoef(
        head.log_probabilities(x[rows]).ravel(), np.log(known.predict_proba(scaled)).ravel()
    )[0, 1]
    assert correlation > 0.97


def test_more_features_than_volumes_are_no_obstacle(make_labels, rng):
    """The closed form is what inverting the shrunk covariance within classes gives."""
    labels = make_labels(["abab"])
    labels = replace(labels, rest=np.zeros_like(labels.rest))
    x = features_of(labels, rng, n_features=120)
    head = fit_lda(x, labels, n_features=120)

    rows = np.flatnonzero(labels.chosen)
    label = labels.label[rows]
    variance = x[rows].var(axis=0)
    z = x[rows] / np.sqrt(variance + 0.01 * np.median(variance))
    means = np.stack([z[label == c].mean(axis=0) for c in range(2)]).astype(float)
    about_mean = z - z.mean(axis=0)
    gram = about_mean @ about_mean.T
    total = np.trace(gram) / len(z)
    spread = (np.diag(gram) ** 2).mean() - (gram**2).sum() / len(z) ** 2
    distance = (gram**2).sum() / len(z) ** 2 - total**2 / 120
    shrinkage = min(1.0, spread / len(z) / distance)
    within = z - means[label]
    covariance = (1 - shrinkage) * within.T @ within / len(z)
    covariance += shrinkage * total / 120 * np.eye(120)
    logits = z @ np.linalg.solve(covariance, means.T)
    logits -= 0.5 * np.einsum("cf,fc->c", means, np.linalg.solve(covariance, means.T))

    # At the scale at which the logits of the block means have a root mean square of 1.
    block = labels.block[rows]
    of_blocks = np.stack([logits[block == n].mean(axis=0) for n in np.unique(block)])
    of_blocks -= of_blocks.mean(axis=1, keepdims=True)
    logits /= np.sqrt((of_blocks**2).mean())
    assert np.allclose(head.log_probabilities(x[rows]), log_softmax(logits), atol=1e-3)


@pytest.mark.parametrize("rest", [False, True])
def test_many_arrangements_at_once_are_each_fitted_alone(make_labels, rng, rest):
    """Prepared once, each arrangement of classes gives what fitting it anew gives."""
    labels = make_labels(["abcbca" * 2], rest=rest)
    x = features_of(labels, rng)
    truth = labels.block_labels()
    arrangements = np.stack([truth, *(rng.permutation(truth) for _ in range(5))])
    split = folds(labels)
    splits = [split_of(labels, fold) for fold in split]

    found = held_out_logits(prepare_sides(x, labels, splits, 15), splits, arrangements, labels)

    plain = Candidate("", "deep", x, lambda rows, of: fit_lda(rows, of, 15))
    compared = 0
    for arrangement, logits in zip(arrangements, found, strict=True):
        relabelled = labels.with_block_labels(arrangement)
        expected = held_out(plain, relabelled, split)
        for fold in split:
            if set(relabelled.label[fold.train]) >= set(range(labels.n_classes)):
                one, other = log_softmax(logits[fold.test]), expected[fold.test]
                assert np.allclose(np.exp(one), np.exp(other), atol=1e-4)
                compared += 1
    assert compared > 10
    assert np.allclose(cross_validate(x, labels, split, 15), log_softmax(found[0]))


def test_a_class_without_a_training_block_is_never_decided(make_labels, rng):
    """A permutation may put all blocks of a class on the side that is tested."""
    labels = make_labels(["abcabc"])
    x = features_of(labels, rng)
    splits = [split_of(labels, fold) for fold in folds(labels)]
    # Both blocks of class c are those that the first fold tests.
    arrangement = np.array([[2, 2, 0, 1, 0, 1]])
    assert set(labels.block[splits[0].test]) - {-1} == {0, 1, 2}

    logits = held_out_logits(prepare_sides(x, labels, splits, 15), splits, arrangement, labels)

    tested = logits[0, splits[0].test]
    assert np.isfinite(tested).all()
    assert 2 not in tested.argmax(axis=1)


def test_half_precision_features_are_read_alike(make_labels, rng):
    """Layers with many features are kept in half precision."""
    labels = make_labels(["abababab"])
    x = features_of(labels, rng)

    full, half = fit_lda(x, labels), fit_lda(x.astype(np.float16), labels)

    assert np.allclose(full.log_probabilities(x), half.log_probabilities(x), atol=0.05)


def test_a_feature_that_is_almost_always_zero_gets_no_enormous_weight(make_labels, rng):
    """A rectified feature that fires once does not decide by its rounding."""
    labels = make_labels(["abababab"])
    x = features_of(labels, rng, n_features=30)
    x[:, 0] = 0
    x[labels.label == 1, 0] = 1e-4

    head = fit_lda(x, labels, n_features=30)

    assert np.abs(head.weight[:, 0]).max() < 10 * np.abs(head.weight[:, 1:]).max()
