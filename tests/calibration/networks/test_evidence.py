"""Every way to evidence equals what it was fitted as, and exports as it computes."""

import numpy as np
import pytest
import torch
from torch import nn

from calibration.bundling.compile import export_decoder
from calibration.bundling.parity import parity
from calibration.decoders.head import Head, log_softmax
from calibration.networks import (
    LayerEvidence,
    LinearReadOut,
    NetworkEvidence,
    ReadOutSettings,
    StackedEvidence,
    StreamingDecoder,
    VoxelEvidence,
)
from calibration.networks.features import network_features
from rtdecode.errors import ConfigError

CLASSES = ("face", "house", "tool")
SETTINGS = ReadOutSettings(4, temperature=1.7, fast_retention=0.6, none_threshold=0.4)


def _head(features: int, rng: np.random.Generator, spread: float = 1.0) -> Head:
    weight = rng.standard_normal((len(CLASSES), features)) / np.sqrt(features) / spread
    return Head(weight.astype(np.float32), rng.standard_normal(len(CLASSES)).astype(np.float32))


def _layer(network, mask, prepared, rng, layer=4):
    """Return evidence of a layer with the head that it reads, and that layer's features."""
    features = network_features(network, _stacked(prepared), mask, (layer,))[layer]
    # Deep layers of an untrained network hardly vary; the weights make up for it.
    head = _head(features.shape[1], rng, features.std())
    return (
        LayerEvidence(network, mask, LinearReadOut(layer, head.weight, head.bias)),
        head,
        features,
    )


def _stacked(prepared):
    return np.stack([one.data for one in prepared])


def _said(evidence, prepared):
    with torch.inference_mode():
        logits = torch.stack([evidence(torch.tensor(one.data)) for one in prepared])
    return torch.log_softmax(logits, dim=1).numpy()


@pytest.mark.parametrize("layer", [1, 4, 10, 12])
def test_a_fitted_head_says_what_the_layers_evidence_says(
    network, mask, prepared, rng, layer
) -> None:
    """A head on `network_features` and a `LayerEvidence` give the same log-probabilities."""
    evidence, head, features = _layer(network, mask, prepared, rng, layer)
    found = _said(evidence, prepared)
    np.testing.assert_allclose(found, head.log_probabilities(features), atol=1e-4)
    assert found.std(axis=0).min() > 1e-2


def test_a_head_on_voxels_needs_no_network(mask, prepared, rng) -> None:
    """One matrix product, as fitted."""
    head = _head(int(mask.sum()), rng)
    found = _said(VoxelEvidence(head.weight, head.bias), prepared)
    np.testing.assert_allclose(found, head.log_probabilities(_stacked(prepared)), atol=1e-5)


def test_a_stack_adds_logits(network, mask, prepared, rng) -> None:
    """The sum of the log-probabilities of three parts, normalised."""
    deep, head, features = _layer(network, mask, prepared, rng)
    linear, other = (_head(int(mask.sum()), rng) for _ in range(2))
    voxels = [VoxelEvidence(one.weight, one.bias) for one in (linear, other)]
    stack = StackedEvidence([deep, *voxels])
    expected = head.log_probabilities(features)
    expected += linear.log_probabilities(_stacked(prepared))
    expected += other.log_probabilities(_stacked(prepared))
    np.testing.assert_allclose(_said(stack, prepared), log_softmax(expected), atol=1e-4)


def test_the_whole_network_says_what_it_says_of_a_whole_volume(network, mask, prepared) -> None:
    """Placing voxels and skipping empty slices changes no logit."""
    evidence = NetworkEvidence(network, mask)
    assert evidence.slices.shape == (4, 1, 12, 10)
    for one in prepared:
        volume = torch.zeros(mask.shape)
        volume[torch.from_numpy(mask)] = torch.tensor(one.data)
        with torch.no_grad():
            torch.testing.assert_close(
                evidence(torch.tensor(one.data)), network(volume[None])[0], atol=1e-5, rtol=1e-5
            )


@pytest.mark.parametrize(
    "kind", ["network", "layer 2", "layer 10", "voxels", "stack", "network and layer 10"]
)
def test_every_kind_exports_as_it_computes(network, mask, prepared, rng, tmp_path, kind) -> None:
    """Over gaps and unusable volumes ONNX Runtime agrees, both read-outs and all state."""
    head = _head(int(mask.sum()), rng)
    voxels = VoxelEvidence(head.weight, head.bias)
    three = NetworkEvidence(network, mask).network
    three.head = nn.Linear(128, 3)
    if kind == "network":
        evidence = NetworkEvidence(three, mask)
    elif kind == "network and layer 10":
        evidence = StackedEvidence(
            [NetworkEvidence(three, mask), _layer(network, mask, prepared, rng, 10)[0]]
        )
    elif kind == "voxels":
        evidence = voxels
    else:
        evidence = _layer(network, mask, prepared, rng, 2 if kind == "layer 2" else 10)[0]
        if kind == "stack":
            evidence = StackedEvidence([evidence, voxels])
    export = export_decoder(
        StreamingDecoder(evidence, SETTINGS), CLASSES, tmp_path / "decoder.onnx"
    )
    # Parts that share the network compute each convolution once.
    convolutions = {"layer 2": 2, "layer 10": 10, "voxels": 0, "stack": 10}.get(kind, 12)
    assert export.operators.get("Conv", 0) == convolutions
    assert export.operators.get("LSTM", 0) == ("network" in kind)
    result = parity(export, prepared)
    assert result.volumes == len(prepared)
    assert max(result.probability, result.state) < 1e-5


def test_decoder_is_independent_of_later_training(network, mask) -> None:
    """Training goes on without touching evidence that was made before, and stays in its mode."""
    learning = NetworkEvidence(network, mask).network.train().requires_grad_(requires_grad=True)
    evidence = NetworkEvidence(learning, mask)
    before = evidence.network.head.bias.clone()
    with torch.no_grad():
        learning.head.bias.add_(1)
    assert learning.training
    assert not evidence.network.training
    assert torch.equal(evidence.network.head.bias, before)


def test_every_misfit_of_the_mask_is_named_at_once(network) -> None:
    """A mask that is empty and on another grid is both."""
    with pytest.raises(ConfigError) as caught:
        NetworkEvidence(network, np.zeros((5, 5, 5), bool))
    assert len(caught.value.problems) == 2


def test_parts_of_a_stack_must_fit_each_other(rng) -> None:
    """Other voxels or other classes cannot be summed."""
    one, other = (_head(n, rng) for n in (10, 11))
    with pytest.raises(ConfigError, match="same voxels"):
        StackedEvidence([VoxelEvidence(each.weight, each.bias) for each in (one, other)])
