import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from calibration.networks import DeepLight
from calibration.networks.deeplight import same_padding
from calibration.weights.tensorflow import network_of
from rtdecode.errors import ConfigError

GRID = (10, 8, 5)


def test_network_equals_slow_numpy(deeplight_variables, slow_logits, rng) -> None:
    """Padding, channel order, gates and directions are those of the TensorFlow conventions."""
    volume = rng.standard_normal(GRID).astype(np.float32)
    network = network_of(deeplight_variables, GRID)
    with torch.no_grad():
        logits = network(torch.tensor(volume)[None])[0].numpy()
    np.testing.assert_allclose(logits, slow_logits(deeplight_variables, volume), atol=1e-4)


def test_batch_is_decoded_volume_by_volume(deeplight_variables, rng) -> None:
    """A batch gives each volume the logits that it has alone, whatever its neighbours."""
    network = network_of(deeplight_variables, GRID)
    volumes = torch.tensor(rng.standard_normal((3, *GRID)), dtype=torch.float32)
    with torch.no_grad():
        alone = torch.cat([network(volume[None]) for volume in volumes])
        torch.testing.assert_close(network(volumes), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("grid", "inputs"), [((91, 109, 91), 768), ((46, 55, 46), 256), (GRID, 64)]
)
def test_grid_decides_what_the_lstm_reads(grid, inputs) -> None:
    """The published grid gives the published 768 inputs, and other grids give their own."""
    assert DeepLight(grid, 16).lstm.input_size == inputs


def test_published_size() -> None:
    """The published network has its 594,888 parameters."""
    # PyTorch and the authors alike keep two bias vectors per LSTM direction.
    assert sum(parameter.numel() for parameter in DeepLight().parameters()) == 594_888


def test_features_and_convolutions_are_reachable(deeplight_variables, rng) -> None:
    """Calibration can read the features after any convolution, and the 128 before the head."""
    network = network_of(deeplight_variables, GRID)
    volume = torch.tensor(rng.standard_normal((2, *GRID)), dtype=torch.float32)
    with torch.no_grad():
        slices = network.slices(volume)
        assert slices.shape == (10, 1, 8, 10)
        assert network.conv_features(slices, depth=2).shape == (10, 8, 8, 10)
        assert network.conv_features(slices, depth=3).shape == (10, 16, 4, 5)
        assert network.features(volume).shape == (2, 128)
        torch.testing.assert_close(network.head(network.features(volume)), network(volume))


def test_dropout_only_while_training(deeplight_variables, rng) -> None:
    """A training network drops whole channels at random; an evaluating one never does."""
    network = network_of(deeplight_variables, GRID)
    slices = network.slices(torch.tensor(rng.standard_normal((4, *GRID)), dtype=torch.float32))
    with torch.no_grad():
        calm = network.conv_features(slices, depth=5)
        assert torch.equal(calm, network.conv_features(slices, depth=5))
        network.train()
        torch.testing.assert_close(  # The first four convolutions keep every channel.
            network.conv_features(slices, depth=4), network.eval().conv_features(slices, depth=4)
        )
        network.train()
        loud = network.conv_features(slices, depth=5)
    alive = calm.flatten(2).amax(2) > 0
    dropped = loud.flatten(2).amax(2) == 0
    share = (dropped & alive).sum() / alive.sum()
    assert 0.1 < share < 0.3
    kept = alive & ~dropped
    torch.testing.assert_close(loud[kept], calm[kept] / 0.8)


def test_fresh_network_learns() -> None:
    """Gradients reach every parameter of a freshly drawn network."""
    torch.manual_seed(3)
    network = DeepLight(GRID, 4)
    loss = torch.nn.functional.cross_entropy(
        network(torch.randn(6, *GRID)), torch.tensor([0, 1, 2, 3, 0, 1])
    )
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_wrong_grid_is_refused() -> None:
    """A volume on another grid is an error that names both shapes."""
    with pytest.raises(ConfigError, match=r"\(1, 8, 10, 5\).*10, 8, 5"):
        DeepLight(GRID, 4)(torch.zeros(1, 8, 10, 5))


@given(size=st.integers(1, 400), stride=st.integers(1, 3))
def test_same_padding_covers_the_axis(size, stride) -> None:
    """SAME gives ceil(size / stride) outputs, and the end never fewer zeros than the start."""
    before, after = same_padding(size, stride)
    assert after - before in (0, 1)
    if before + after:
        assert (size + before + after - 3) // stride + 1 == -(-size // stride)


def test_same_padding_is_asymmetric_for_even_sizes() -> None:
    """A stride of 2 pads an even axis at its end only."""
    assert same_padding(28, 2) == (0, 1)
    assert same_padding(109, 2) == (1, 1)
