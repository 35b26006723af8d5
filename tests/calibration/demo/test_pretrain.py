"""What the demo's network learns from a group."""

import numpy as np
import pytest
import torch

from calibration.demo.pretrain import TrainingSettings, examples, initial_network, pretrain
from calibration.progress import silent


def test_initial_network_follows_its_seed():
    """The same seed gives the same weights, another seed others."""
    one, same, other = (
        initial_network((12, 10, 4), 2, seed).convolutions[0].weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_examples_average_within_a_block(record):
    """Three volumes of one block make an example; nothing crosses into another block."""
    one = record()
    inputs, labels = examples([one], average=3)
    first = np.flatnonzero(one.labels.block == 0)[:3]
    np.testing.assert_allclose(inputs[0], one.data[first].mean(axis=0), rtol=1e-5)
    assert labels.tolist() == [0, 0, 1, 1] * 3


def test_pretraining_is_reproducible_and_lowers_the_loss(record, small_mask):
    """A fixed number of epochs gives the same network twice, and a stranger is decoded."""
    group, stranger = [record(), record()], record()
    settings = TrainingSettings(epochs=4, average=2, batch=6)
    told = []
    pretrained, report = pretrain(
        group, stranger, small_mask, settings, 1, lambda *parts: told.append(parts)
    )
    again, _ = pretrain(group, stranger, small_mask, settings, 1, silent)
    assert pretrained.sha256 == again.sha256
    assert pretrained.states == ("faces", "places")
    assert report.epochs == 4
    assert report.loss < np.log(2)
    assert report.accuracy > 0.8
    assert told[-1][1:] == (told[-1][2], told[-1][2])
    assert not any(p.requires_grad for p in pretrained.network.parameters())


@pytest.mark.parametrize("seconds", [0.0, 1e-9])
def test_a_spent_budget_still_learns_from_one_batch(record, small_mask, seconds):
    """However slow the machine, something was learnt and a loss is known."""
    settings = TrainingSettings(seconds=seconds, average=2, batch=6)
    _, report = pretrain([record()], record(), small_mask, settings, 1, silent)
    assert 0 < report.epochs < 1
    assert np.isfinite(report.loss)
