"""Weights to begin with."""

import torch

from calibration.networks.deeplight import UNITS
from calibration.pretraining.initial import initial_network


def test_weights_follow_their_seed():
    """The same seed gives the same weights, another seed others."""
    one, same, other = (
        initial_network((12, 10, 4), 2, seed).convolutions[0].weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_blob_is_passed_on():
    """A blob and its place are still there after twelve layers; random weights would lose them."""
    network = initial_network((46, 55, 46), 2, 1).eval()  # no dropout
    slices = torch.zeros(3, 1, 55, 46)
    slices[1, 0, 16:20, 12:16] = 3.0
    slices[2, 0, 40:44, 30:34] = 3.0
    with torch.no_grad():
        nothing, here, there = network.slice_vectors(slices)
    # 0.26 each; with the usual random weights 0.004 at most.
    assert (here - nothing).norm() > 0.2
    assert (here - there).norm() > 0.2


def test_units_forget_at_rates_of_their_own():
    """From about one slice to all of them."""
    network = initial_network((12, 10, 46), 2, 1)
    kept = torch.sigmoid(network.lstm.bias_ih_l0[UNITS : 2 * UNITS])
    assert kept[0] == 0.5
    assert kept[-1] > 0.97
    assert torch.all(kept[1:] > kept[:-1])
