import numpy as np
import pytest
import torch
from torch import nn

from calibration.networks import StreamingDecoder
from calibration.weights.tensorflow import network_of
from rtdecode.errors import ConfigError

GRID = (10, 8, 5)


@pytest.fixture
def mask(rng) -> np.ndarray:
    """Return a ragged mask that leaves the first and an inner slice empty."""
    mask = rng.random(GRID) < 0.5
    mask[:, :, [0, 3]] = False
    return mask


def test_decoder_equals_network_on_the_whole_volume(deeplight_variables, mask, rng) -> None:
    """Placing voxels and skipping empty slices changes no logit."""
    network = network_of(deeplight_variables, GRID)
    volume = np.zeros(GRID, np.float32)
    volume[mask] = rng.standard_normal(mask.sum())
    decoder = StreamingDecoder(network, mask, 3, 1.0)
    assert decoder.slices.shape == (3, 1, 8, 10)
    with torch.no_grad():
        whole = network(torch.tensor(volume)[None])[0]
        torch.testing.assert_close(
            decoder.logits(torch.tensor(volume[mask])), whole, atol=1e-5, rtol=1e-5
        )


def test_step_gives_tempered_evidence(deeplight_variables, mask, rng) -> None:
    """One step answers softmax(logits / temperature) and puts its logarithm in the last slot."""
    decoder = StreamingDecoder(network_of(deeplight_variables, GRID), mask, 3, 2.5)
    volume = torch.tensor(rng.standard_normal(mask.sum()), dtype=torch.float32)
    state = {name: torch.tensor(value) for name, value in decoder.initial_state().items()}
    with torch.no_grad():
        probabilities, newest, evidence, weight = decoder(
            volume, torch.tensor(1.0), torch.tensor(1), **state
        )
        expected = torch.softmax(decoder.logits(volume) / 2.5, 0)
    torch.testing.assert_close(probabilities, expected)
    torch.testing.assert_close(newest.exp(), expected)
    torch.testing.assert_close(evidence[-1], newest)
    assert weight.tolist() == [0, 0, 1]


def test_decoder_is_independent_of_later_training(deeplight_variables, mask) -> None:
    """Training goes on without touching a decoder that was made before, and stays in its mode."""
    network = network_of(deeplight_variables, GRID).train()
    decoder = StreamingDecoder(network, mask, 3, 1.0)
    before = decoder.network.head.bias.clone()
    with torch.no_grad():
        network.head.bias.add_(1)
    assert network.training
    assert not decoder.network.training
    assert torch.equal(decoder.network.head.bias, before)


def test_replaced_head_sets_the_classes(deeplight_variables, mask) -> None:
    """A head with other classes, of any make, is decoded with."""
    network = network_of(deeplight_variables, GRID)
    network.head = nn.Sequential(nn.Linear(128, 16), nn.ReLU(), nn.Linear(16, 6))
    assert StreamingDecoder(network, mask, 3, 1.0).initial_state()["evidence"].shape == (3, 6)


def test_every_misfit_is_named_at_once(deeplight_variables) -> None:
    """Mask, window and temperature are all refused in one message."""
    with pytest.raises(ConfigError) as caught:
        StreamingDecoder(network_of(deeplight_variables, GRID), np.zeros((5, 5, 5), bool), 0, 0.0)
    assert len(caught.value.problems) == 4
