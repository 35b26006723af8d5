"""A small network that is loud in every layer, a ragged mask and a run with a gap."""

import numpy as np
import pytest
import torch

from calibration.networks import DeepLight
from rtdecode.types import Motion, Prepared, Quality, Stamps

GRID = (10, 12, 6)


@pytest.fixture(scope="module")
def network() -> DeepLight:
    """Return it."""
    torch.manual_seed(5)
    network = DeepLight(GRID, 16)
    for convolution in network.convolutions:
        torch.nn.init.kaiming_normal_(convolution.weight)
        torch.nn.init.normal_(convolution.bias, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """Return a mask with an empty slice at the bottom and one in the middle."""
    mask = np.random.default_rng(1).random(GRID) < 0.6
    mask[:, :, [0, 3]] = False
    return mask


@pytest.fixture
def prepared(mask: np.ndarray, rng: np.random.Generator) -> list[Prepared]:
    """Return prepared noise with a gap and an unusable volume."""
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
