"""An output layer on the features after some of the convolutions."""

import numpy as np
import pytest
import torch

from calibration.networks import LinearReadOut, MaskedSlices
from calibration.networks.features import RECURRENT, network_features
from rtdecode.errors import ConfigError


def _stacked(prepared):
    return np.stack([one.data for one in prepared])


def test_features_are_in_the_documented_order(network, mask, prepared) -> None:
    """Slices first, bottom to top and without the empty ones, then channels, rows, columns."""
    features = network_features(network, _stacked(prepared[:1]), mask, (4,))[4][0]
    on_grid = np.zeros(mask.shape, np.float32)
    on_grid[mask] = prepared[0].data
    present = [z for z in range(mask.shape[2]) if mask[:, :, z].any()]
    with torch.inference_mode():
        by_slice = [
            network.conv_features(torch.tensor(on_grid[:, :, z].T.copy())[None, None], 4)[0]
            for z in present
        ]
    expected = np.stack([each.numpy() for each in by_slice])
    assert expected.shape == (4, 16, 6, 5)
    np.testing.assert_allclose(features, expected.ravel(), atol=1e-5)


def test_one_pass_keeps_every_layer_that_is_asked_for(network, mask, prepared) -> None:
    """Each is what reading that layer alone gives, and the recurrent features are the network's."""
    volumes = _stacked(prepared)
    told = []
    found = network_features(
        network, volumes, mask, (2, 10, RECURRENT), lambda *step: told.append(step)
    )
    slices = MaskedSlices(mask)
    with torch.inference_mode():
        for row, volume in enumerate(volumes):
            on_grid = torch.zeros(mask.shape)
            on_grid[torch.from_numpy(mask)] = torch.from_numpy(volume)
            laid_out = slices(torch.from_numpy(volume))
            for layer in (2, 10):
                expected = network.conv_features(laid_out, layer).flatten().numpy()
                np.testing.assert_allclose(found[layer][row], expected, atol=1e-5)
            recurrent = network.features(on_grid[None])[0].numpy()
            np.testing.assert_allclose(found[RECURRENT][row], recurrent, atol=1e-5)
    assert told[-1][1:] == (6, 6)


@pytest.mark.parametrize("layer", [0, 13, -1])
def test_layer_that_is_not_there_is_refused(layer) -> None:
    """Only one of the twelve convolutions can be read."""
    with pytest.raises(ConfigError, match=f"read-out layer {layer}: it must be 1 to 12"):
        LinearReadOut(layer, np.zeros((2, 4), np.float32), np.zeros(2, np.float32))
