"""Relevance is conserved from the logit to the voxels, and lies where the signal is."""

import numpy as np
import pytest
import torch

from calibration.bundling.relevance import explained, relevance
from calibration.networks import (
    DeepLight,
    LayerEvidence,
    LinearReadOut,
    NetworkEvidence,
    StackedEvidence,
    VoxelEvidence,
)

GRID = (10, 12, 6)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """Return a ragged mask."""
    return np.random.default_rng(1).random(GRID) < 0.6


@pytest.fixture(scope="module")
def network() -> DeepLight:
    """Return a loud network."""
    torch.manual_seed(5)
    network = DeepLight(GRID, 2)
    for convolution in network.convolutions:
        torch.nn.init.kaiming_normal_(convolution.weight)
    return network.eval()


def _layer(network, mask, layer, rng, n_classes=3) -> LayerEvidence:
    probe = LayerEvidence(
        network, mask, LinearReadOut(layer, np.zeros((2, 1), "f"), np.zeros(2, "f"))
    )
    with torch.inference_mode():
        n = network.conv_features(probe.slices(torch.zeros(probe.voxels)), layer).numel()
    weight = (rng.standard_normal((n_classes, n)) / np.sqrt(n)).astype(np.float32)
    return LayerEvidence(network, mask, LinearReadOut(layer, weight, np.zeros(n_classes, "f")))


@pytest.mark.parametrize("layer", [1, 4, 7, 10])
def test_the_voxels_relevance_sums_to_the_logit(network, mask, rng, layer) -> None:
    """Without biases the epsilon rule loses next to nothing, through strides and overhangs."""
    evidence = _layer(network, mask, layer, rng)
    volume = rng.standard_normal(int(mask.sum())).astype(np.float32)
    with torch.inference_mode():
        logits = evidence(torch.from_numpy(volume)).numpy()
    for target in range(3):
        found = relevance(evidence, volume, target)
        expected = logits[target] - logits.mean()
        assert found.logit == pytest.approx(expected, abs=1e-4)
        assert found.voxels.sum() + found.absorbed == pytest.approx(found.logit, abs=1e-9)
        assert abs(found.absorbed) < 0.02 * np.abs(found.voxels).sum() + 1e-4


def test_what_biases_say_is_absorbed_and_told(network, mask, rng) -> None:
    """With biases the map and what they took still sum to the logit."""
    loud = NetworkEvidence(network, mask).network
    with torch.no_grad():
        for convolution in loud.convolutions:
            convolution.bias.normal_(std=0.1)
    evidence = _layer(loud, mask, 6, rng)
    volume = rng.standard_normal(int(mask.sum())).astype(np.float32)

    found = relevance(evidence, volume, 1)

    assert found.voxels.sum() + found.absorbed == pytest.approx(found.logit)
    assert abs(found.absorbed) > 1e-3


def test_a_voxel_that_is_zero_has_no_relevance(network, mask, rng) -> None:
    """Nothing can be explained by what was not there."""
    volume = rng.standard_normal(int(mask.sum())).astype(np.float32)
    volume[::2] = 0

    found = relevance(_layer(network, mask, 4, rng), volume, 0)

    assert np.abs(found.voxels[::2]).max() < 1e-6
    assert np.abs(found.voxels[1::2]).max() > 1e-4


def test_of_voxels_it_is_weight_times_value(rng) -> None:
    """A linear decoder explains itself."""
    weight = rng.standard_normal((2, 8)).astype(np.float32)
    volume = rng.standard_normal(8).astype(np.float32)

    found = relevance(VoxelEvidence(weight, np.array([1, 0], "f")), volume, 0)

    np.testing.assert_allclose(found.voxels, (weight[0] - weight.mean(axis=0)) * volume, rtol=1e-5)
    assert found.absorbed == pytest.approx(0.5)


def test_of_a_stack_it_is_the_sum(network, mask, rng) -> None:
    """The maps of both parts are added."""
    deep = _layer(network, mask, 4, rng)
    weight = rng.standard_normal((3, int(mask.sum()))).astype(np.float32)
    linear = VoxelEvidence(weight, np.zeros(3, "f"))
    volume = rng.standard_normal(int(mask.sum())).astype(np.float32)

    found = relevance(StackedEvidence([deep, linear]), volume, 2)

    parts = relevance(deep, volume, 2), relevance(linear, volume, 2)
    np.testing.assert_allclose(found.voxels, parts[0].voxels + parts[1].voxels)
    assert found.logit == pytest.approx(parts[0].logit + parts[1].logit)


def test_the_recurrence_is_not_explained(network, mask) -> None:
    """There is no rule for the LSTM here, and it is said rather than guessed."""
    evidence = NetworkEvidence(network, mask)

    assert not explained(evidence)
    with pytest.raises(TypeError, match="NetworkEvidence"):
        relevance(evidence, np.zeros(int(mask.sum()), "f"), 0)
