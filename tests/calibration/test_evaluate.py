"""Held-out figures: high where there is signal, at chance where there is none."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage

from calibration.dataset import Block, Labels, label_volumes
from calibration.evaluate import GUARD_S, held_out_log_probabilities, score
from calibration.finetune import fit, fit_head, fit_temperature, log_softmax


def design(n_blocks=16, classes=("a", "b")) -> Labels:
    """Return labels of a run of 12 s blocks with 8 s between them, one volume a second."""
    blocks = tuple(
        Block(classes[n % len(classes)], 20.0 * n, 20.0 * n + 12.0) for n in range(n_blocks)
    )
    return label_volumes(blocks, np.arange(0.0, 20.0 * n_blocks + 10), 4.0)


def slow_noise(rng, labels, n_features=20):
    """Return features that drift slowly, so that neighbouring volumes look alike."""
    noise = rng.standard_normal((len(labels.label), n_features)).cumsum(axis=0)
    return (noise / noise.std()).astype(np.float32)


def test_signal_is_found_in_held_out_blocks(rng):
    """Blocks that differ are decoded well above chance."""
    labels = design()
    features = rng.standard_normal((len(labels.label), 20)).astype(np.float32)
    features[labels.label == 1, :5] += 1.5

    metrics = score(held_out_log_probabilities(features, labels, fit), labels, "none")

    assert metrics.balanced_accuracy_block > 0.8
    assert metrics.interval_95_block[0] < metrics.balanced_accuracy_block
    assert metrics.chance == 0.5
    assert metrics.n_blocks == 16


def test_slow_drift_alone_stays_at_chance(rng):
    """With labels that mean nothing, drifting features do not decode held-out blocks."""
    accuracies = []
    for _ in range(8):
        labels = design()
        log_probabilities = held_out_log_probabilities(slow_noise(rng, labels), labels, fit)
        accuracies.append(score(log_probabilities, labels, "none").balanced_accuracy_block)

    assert 0.25 < np.mean(accuracies) < 0.7


def test_no_training_volume_is_near_a_held_out_one():
    """The guard keeps every neighbour of a held-out volume out of the fit."""
    labels = design(n_blocks=6)
    seen = []

    def remember(features, _labels, n_classes):
        seen.append(features[:, 0].copy())
        return lambda tested: np.zeros((len(tested), n_classes))

    times = labels.acquired_s[:, None].astype(np.float32)
    held_out_log_probabilities(times, labels, remember)

    folds = [(0, 1), (2, 3), (4, 5)]
    for trained, fold in zip(seen, folds, strict=True):
        tested = labels.acquired_s[np.isin(labels.block, fold)]
        assert np.abs(trained[:, None] - tested[None]).min() > GUARD_S


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_head_is_a_linear_layer_with_normalised_probabilities(rng, n_classes):
    """The fitted head gives a proper distribution and knows its training data."""
    labels = np.repeat(np.arange(n_classes), 30)
    features = rng.standard_normal((len(labels), 8)).astype(np.float32) * 50 + 1000
    features[np.arange(len(labels)), labels] += 300

    head = fit_head(features, labels, n_classes)
    log_probabilities = head.log_probabilities(features)

    assert head.weight.shape == (n_classes, 8)
    assert np.allclose(np.exp(log_probabilities).sum(axis=1), 1.0)
    assert (log_probabilities.argmax(axis=1) == labels).mean() > 0.95


def test_the_temperature_makes_overconfident_log_probabilities_honest(rng):
    """Log-probabilities that claim ten times too much get a temperature near ten."""
    labels = rng.integers(0, 3, size=4000)
    logits = rng.standard_normal((4000, 3)) + 1.0 * np.eye(3)[labels]
    honest = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    assert fit_temperature(10 * honest, labels) == pytest.approx(10, rel=0.15)


def test_the_head_equals_a_plain_discriminant_analysis(rng):
    """The closed form through the volumes gives what inverting the shrunk covariance gives."""
    labels = np.repeat(np.arange(3), 20)
    features = rng.standard_normal((60, 30)).astype(np.float32)
    features[np.arange(60), labels] += 2
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)]).astype(float)
    within = ((features - means[labels]) ** 2).mean(axis=0)
    scale = np.sqrt(within + 0.01 * np.median(within))
    x, means = features / scale, means / scale
    shrinkage = ledoit_wolf_shrinkage(x - means[labels], assume_centered=True)
    covariance = (x - means[labels]).T @ (x - means[labels]) / 60
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 30 * np.eye(30)
    logits = x @ np.linalg.solve(shrunk, means.T) - 0.5 * np.diag(
        means @ np.linalg.solve(shrunk, means.T)
    )

    found = fit_head(features, labels, 3).log_probabilities(features)

    assert np.allclose(found, log_softmax(logits), atol=1e-3)


def test_a_feature_that_is_almost_always_zero_gets_no_enormous_weight(rng):
    """A rectified feature that fires once does not decide by its rounding."""
    labels = np.repeat(np.arange(2), 20)
    features = rng.standard_normal((40, 10)).astype(np.float32)
    features[:, 0] = 0
    features[labels == 1, 0] = 1e-4

    head = fit_head(features, labels, 2)

    assert np.abs(head.weight[:, 0]).max() < 10 * np.abs(head.weight[:, 1:]).max()
