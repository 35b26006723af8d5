"""Plain features."""

import numpy as np
import pytest
import torch

from calibration.networks import DeepLight
from calibration.networks.features import (
    HALF_ABOVE,
    RECURRENT,
    FeatureExtractor,
    coarse_voxels,
    motion_features,
    network_features,
    parcels,
    time_features,
    with_torch,
)

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
PUBLISHED, SMALL = (91, 109, 91), (46, 55, 46)
LAYERS = (10, 8, 12, RECURRENT)


def blank(grid_shape: tuple[int, int, int]) -> DeepLight:
    """Return a network with weights that keep activations alive, and biases."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = DeepLight(grid_shape, 2)
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or "bias_" in name:
                torch.nn.init.normal_(parameter, std=0.1)
            elif name.startswith("convolutions"):
                torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
    return network


def ball(grid_shape: tuple[int, int, int]) -> np.ndarray:
    """Return an ellipsoid that leaves some slices empty."""
    axes = [np.linspace(-1.2, 1.2, size) for size in grid_shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return x**2 + y**2 + z**2 < 1


@pytest.mark.parametrize("grid_shape", [PUBLISHED, SMALL], ids=["2 mm", "4 mm"])
def test_features_are_those_of_torch(grid_shape: tuple[int, int, int], rng) -> None:
    """Every layer and the recurrent features agree to 1e-4; the largest in half precision."""
    network, mask = blank(grid_shape), ball(grid_shape)
    assert not mask[:, :, 0].any()
    volumes = rng.standard_normal((2, mask.sum()), dtype=np.float32)
    network.train()  # what it is doing at the moment must not matter

    found = network_features(network, volumes, mask, LAYERS)

    assert network.training
    torch_step = with_torch(network.eval(), mask, LAYERS, "cpu")
    for row, volume in enumerate(volumes):
        for layer, expected in torch_step(volume).items():
            assert found[layer].shape == (2, expected.size)
            half = expected.size > HALF_ABOVE
            assert found[layer].dtype == (np.float16 if half else np.float32)
            error = np.abs(found[layer][row] - expected).max() / np.abs(expected).max()
            assert error < (5e-4 if half else 1e-4)
            assert expected.std() > 1e-3
    assert (found[8].dtype == np.float16) == (grid_shape == PUBLISHED)


def test_features_depend_on_neither_threads_nor_the_volumes_before(rng) -> None:
    """One volume at a time, in another order and with more threads, gives the same bytes."""
    network, mask = blank(SMALL), ball(SMALL)
    volumes = rng.standard_normal((3, mask.sum()), dtype=np.float32)

    together = network_features(network, volumes, mask, LAYERS, threads=1)
    extractor = FeatureExtractor(network, mask, LAYERS, threads=3)
    single = {row: extractor.step(volumes[row]) for row in (2, 0, 1, 2)}

    for row, features in single.items():
        assert set(features) == set(LAYERS)
        for layer, values in features.items():
            assert values.tobytes() == together[layer][row].tobytes()


def test_only_what_is_asked_for_is_computed(rng) -> None:
    """A layer alone and the recurrent features alone are what they are among others."""
    network, mask = blank(SMALL), ball(SMALL)
    volume = rng.standard_normal(mask.sum(), dtype=np.float32)
    every = FeatureExtractor(network, mask, (2, RECURRENT)).step(volume)
    for layer in (2, RECURRENT):
        alone = FeatureExtractor(network, mask, (layer,)).step(volume)
        assert set(alone) == {layer}
        assert np.array_equal(alone[layer], every[layer])


def test_coarse_voxels_are_means_of_cubes():
    """Cubes of 8 mm hold four voxels of 2 mm a side; voxels outside the mask do not count."""
    mask = np.ones((8, 4, 4), bool)
    mask[0, 0, 0] = False
    values = np.where(np.argwhere(mask)[:, 0] < 4, 1.0, 3.0).astype(np.float32)

    found = coarse_voxels(np.stack([values, 2 * values]), mask, AFFINE)

    np.testing.assert_allclose(found, [[1, 3], [2, 6]])


def test_parcels_are_compact_and_cover_the_brain():
    """Four hundred pieces, each a mean of neighbours: a smooth field survives."""
    mask = np.ones((20, 20, 20), bool)
    places = np.argwhere(mask)
    ramp = places[:, 0].astype(np.float32)

    found = parcels(np.stack([ramp, np.ones_like(ramp)]), mask, AFFINE)

    assert found.shape == (2, 400)
    np.testing.assert_allclose(found[1], 1, rtol=1e-6)
    assert 0 <= found[0].min() < 3
    assert 16 < found[0].max() <= 19
    again = parcels(np.stack([ramp]), mask, AFFINE)
    np.testing.assert_array_equal(found[0], again[0])


def test_motion_features_are_standardised_and_finite(rng):
    """Parameters, changes and squares; a head that never moved is no not-a-number."""
    moving = motion_features(rng.standard_normal((50, 6)))
    still = motion_features(np.zeros((50, 6)))

    assert moving.shape == (50, 18)
    np.testing.assert_allclose(moving.std(axis=0), 1, rtol=1e-4)
    assert np.isfinite(still).all()


def test_time_features_know_when_but_nothing_fast():
    """Polynomials and one slow wave; a short run is as good as a long one."""
    found = time_features(np.arange(100) * 2.0)

    assert found.shape == (100, 6)
    assert np.abs(found).max() <= 1 + 1e-6
    assert np.abs(np.diff(found, axis=0)).max() < 0.1
