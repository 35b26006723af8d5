"""Confidence is brought back to what the blocks deserve."""

import numpy as np
import pytest

from calibration.decoders.head import log_softmax
from calibration.decoders.temperature import TEMPERATURES, loss_per_block


@pytest.fixture
def labels(make_labels):
    """Return forty blocks of two classes."""
    return make_labels(["abbaabab" * 5])


def temperature_of(evidence, labels):
    """Return what held-out log-probabilities must be divided by to be most honest."""
    cooled = log_softmax(evidence / TEMPERATURES[:, None, None])
    return float(TEMPERATURES[loss_per_block(cooled, labels).mean(axis=1).argmin()])


def of_blocks(labels, rng, strength):
    """Return honest log-probabilities: each block's volumes share one noisy measurement."""
    truth = np.array([labels.label[labels.block == n][0] for n in range(len(labels.blocks))])
    measured = strength * (2 * truth - 1) + rng.standard_normal(len(truth))
    logits = np.stack([-strength * measured, strength * measured], axis=1)
    return log_softmax(logits[labels.block])


@pytest.mark.parametrize("temperature", [1.0, 30.0, 800.0])
def test_overconfidence_is_measured(labels, rng, temperature) -> None:
    """Honest evidence made so many times as sure is told by about that number."""
    found = temperature_of(temperature * of_blocks(labels, rng, 0.7), labels)

    assert temperature / 3 < found < 3 * temperature


def test_being_always_right_is_no_licence_for_certainty(labels) -> None:
    """With every block right the confidence is what so many blocks can support, at any scale."""
    right = np.where(np.arange(2) == labels.label[:, None], 0.0, -1.0)
    for scale in (10.0, 300.0):
        cooled = log_softmax(scale * right / temperature_of(scale * right, labels))
        confidence = np.exp(cooled.max(axis=1)[labels.chosen])
        assert confidence == pytest.approx(1 - 1 / 42, abs=0.02)


def test_the_loss_counts_each_block_once(labels) -> None:
    """Knowing nothing costs log 2 in each."""
    nothing = np.full((len(labels.label), 2), np.log(0.5))

    np.testing.assert_allclose(loss_per_block(nothing, labels), np.full(40, np.log(2)))
