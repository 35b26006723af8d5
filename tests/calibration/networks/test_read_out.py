"""An output layer on the features after some of the convolutions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from calibration.compile import export_decoder, parity
from calibration.finetune import Head, network_features
from calibration.networks import DeepLight, MaskedSlices, ReadOut, StreamingDecoder, layer_features
from calibration.progress import silent
from rtdecode.errors import ConfigError
from rtdecode.types import Motion, Prepared, Quality, Stamps

GRID = (10, 12, 6)
CLASSES = ("face", "house", "tool")


@pytest.fixture(scope="module")
def network() -> DeepLight:
    """Return a network that is loud in every layer."""
    torch.manual_seed(5)
    network = DeepLight(GRID, 16)
    for convolution in network.convolutions:
        torch.nn.init.kaiming_normal_(convolution.weight)
        torch.nn.init.normal_(convolution.bias, std=0.1)
    return network


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """Return a ragged mask with an empty slice at the bottom and one in the middle."""
    mask = np.random.default_rng(1).random(GRID) < 0.6
    mask[:, :, [0, 3]] = False
    return mask


@pytest.fixture
def prepared(mask: np.ndarray, rng: np.random.Generator) -> list[Prepared]:
    """Return a run with a gap and an unusable volume."""
    steps = [(3, True), (4, True), (5, False), (7, True), (8, True), (30, True)]
    return [
        Prepared(
            index,
            2 * rng.standard_normal(int(mask.sum())).astype(np.float32),
            Motion(),
            Quality(0.0, 0.0, 0.0, 0.0, usable),
            Stamps(),
        )
        for index, usable in steps
    ]


def _head(features: int, rng: np.random.Generator) -> Head:
    weight = rng.standard_normal((len(CLASSES), features)) / np.sqrt(features)
    return Head(weight.astype(np.float32), rng.standard_normal(len(CLASSES)).astype(np.float32))


@pytest.mark.parametrize("layer", [1, 4, 10, 12])
def test_fitted_features_are_those_that_are_read(network, mask, prepared, rng, layer) -> None:
    """A head on `network_features` and a `ReadOut` give the same log-probabilities."""
    features = network_features(network, prepared, mask, layer, silent)
    assert features.shape[0] == len(prepared)
    head = _head(features.shape[1], rng)
    # Deep layers of an untrained network hardly vary; the weights make up for it.
    head = replace(head, weight=head.weight / features.std())
    decoder = StreamingDecoder(network, mask, 3, 1.0, ReadOut(layer, head.weight, head.bias))
    with torch.inference_mode():
        logits = [decoder.logits(torch.tensor(p.data)) for p in prepared]
        found = torch.log_softmax(torch.stack(logits), dim=1).numpy()
    np.testing.assert_allclose(found, head.log_probabilities(features), atol=1e-4)
    assert found.std(axis=0).min() > 1e-2


def test_features_are_in_the_documented_order(network, mask, prepared) -> None:
    """Slices first, bottom to top and without the empty ones, then channels, rows, columns."""
    features = network_features(network, prepared[:1], mask, 4, silent)[0]
    on_grid = np.zeros(GRID, np.float32)
    on_grid[mask] = prepared[0].data
    present = [z for z in range(GRID[2]) if mask[:, :, z].any()]
    with torch.inference_mode():
        by_slice = [
            network.conv_features(torch.tensor(on_grid[:, :, z].T.copy())[None, None], 4)[0]
            for z in present
        ]
    expected = np.stack([each.numpy() for each in by_slice])
    assert expected.shape == (4, 16, 6, 5)
    np.testing.assert_allclose(features, expected.ravel(), atol=1e-5)


@pytest.mark.parametrize("layer", [2, 10])
def test_exported_read_out_agrees_with_torch(network, mask, prepared, rng, tmp_path, layer) -> None:
    """The graph with a read-out has no recurrence left and decides as torch does over a run."""
    slices = MaskedSlices(mask)
    with torch.inference_mode():
        volume = slices(torch.zeros(slices.voxels))
        head = _head(len(layer_features(network, volume, layer)), rng)
    read_out = ReadOut(layer, head.weight, head.bias)
    path = tmp_path / "decoder.onnx"
    export = export_decoder(network, mask, CLASSES, 4, 1.7, path, read_out)
    assert export.operators["Conv"] == layer
    assert "LSTM" not in export.operators
    assert {t.name: t.shape for t in export.state} == {"evidence": (4, 3), "weight": (4,)}
    result = parity(export, prepared)
    assert result.volumes == len(prepared)
    assert max(result.probability, result.state) < 1e-5


def test_classes_are_the_read_outs(network, mask, rng, tmp_path) -> None:
    """The network's own sixteen outputs no longer count, the read-out's three do."""
    features = network_features(network, [_zeros(mask)], mask, 2, silent).shape[1]
    head = _head(features, rng)
    decoder = StreamingDecoder(network, mask, 2, 1.0, ReadOut(2, head.weight, head.bias))
    assert decoder.classes == 3
    assert decoder.initial_state()["evidence"].shape == (2, 3)
    read_out = ReadOut(2, head.weight, head.bias)
    names = [f"state {n}" for n in range(16)]
    with pytest.raises(ConfigError, match="16 classes for a network with 3 outputs"):
        export_decoder(network, mask, names, 2, 1.0, tmp_path / "decoder.onnx", read_out)


@pytest.mark.parametrize("layer", [0, 13, -1])
def test_layer_that_is_not_there_is_refused(layer) -> None:
    """Only one of the twelve convolutions can be read."""
    with pytest.raises(ConfigError, match=f"read-out layer {layer}: must be 1 to 12"):
        ReadOut(layer, np.zeros((2, 4), np.float32), np.zeros(2, np.float32))


def _zeros(mask: np.ndarray) -> Prepared:
    quality = Quality(0.0, 0.0, 0.0, 0.0, usable=True)
    return Prepared(0, np.zeros(int(mask.sum()), np.float32), Motion(), quality, Stamps())
