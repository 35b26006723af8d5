"""The closed-form head is shrinkage LDA, and stays so when it is made cheap for permutations."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from calibration.evaluate import folds, held_out
from calibration.heads import Candidate, PermutableLda, fit_lda, log_softmax


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
    """The closed form through the volumes is what inverting the shrunk covariance gives."""
    labels = make_labels(["abab"])
    labels = replace(labels, rest=np.zeros_like(labels.rest))
    x = features_of(labels, rng, n_features=120)
    head = fit_lda(x, labels, n_features=120)

    rows = np.flatnonzero(labels.chosen)
    label = labels.label[rows]
    means = np.stack([x[rows][label == c].mean(axis=0) for c in range(2)]).astype(float)
    pooled = ((x[rows] - means[label]) ** 2).mean(axis=0)
    scale = np.sqrt(pooled + 0.01 * np.median(pooled))
    z, means = x[rows] / scale, means / scale
    within = z - means[label]
    gram = within @ within.T
    total = np.trace(gram) / len(z)
    spread = (np.diag(gram) ** 2).mean() - (gram**2).sum() / len(z) ** 2
    distance = (gram**2).sum() / len(z) ** 2 - total**2 / 120
    shrinkage = min(1.0, spread / len(z) / distance)
    covariance = (1 - shrinkage) * within.T @ within / len(z)
    covariance += shrinkage * total / 120 * np.eye(120)
    logits = z @ np.linalg.solve(covariance, means.T)
    logits -= 0.5 * np.einsum("cf,fc->c", means, np.linalg.solve(covariance, means.T))

    assert np.allclose(head.log_probabilities(x[rows]), log_softmax(logits), atol=1e-3)


def test_features_are_chosen_by_task_against_rest(make_labels, rng):
    """What any task drives is read; what only noise tells the classes apart by is not."""
    labels = make_labels(["abababab"])
    x = features_of(labels, rng, strength=0.0)

    head = fit_lda(x, labels, n_features=20)

    assert set(np.flatnonzero(np.abs(head.weight).sum(axis=0))) == set(range(20, 40))


def test_without_rest_features_are_chosen_between_classes(make_labels, rng):
    """Continuous designs have no pauses; the classes' own differences have to do."""
    labels = make_labels(["abababab"])
    labels = replace(labels, rest=np.zeros_like(labels.rest))
    x = features_of(labels, rng, strength=3.0)

    head = fit_lda(x, labels, n_features=6)

    assert set(np.flatnonzero(np.abs(head.weight).sum(axis=0))) == set(range(6))


@pytest.mark.parametrize("kind", ["truth", "relabelled", "rest as a class"])
def test_the_cheap_fit_is_the_fit(make_labels, rng, kind):
    """Prepared for permuted labels, each fold gives what fitting it anew gives."""
    labels = make_labels(["abcbca" * 2], rest=kind == "rest as a class")
    x = features_of(labels, rng)
    split = folds(labels)
    cheap = PermutableLda(x, labels, split, n_features=15)
    if kind == "relabelled":
        labels = labels.with_block_labels(rng.permutation(labels.block_labels()))

    found = cheap.held_out(labels)

    plain = Candidate("", "deep", x, lambda rows, of: fit_lda(rows, of, 15))
    # A permutation may leave a training side without some class, which `fit_lda` never is given.
    expected = held_out(plain, labels, split)
    assert np.allclose(np.exp(found), np.exp(expected), atol=1e-4)


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
