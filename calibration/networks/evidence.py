"""Modules that compute logits from one prepared volume."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from calibration.networks.deeplight import UNITS, DeepLight
from calibration.networks.linear_read_out import LinearReadOut
from calibration.networks.sequence import SliceSequence
from calibration.networks.slice_layout import MaskedSlices
from rtdecode.errors import ConfigError
from rtdecode.types import Bool, Float32


class NetworkEvidence(nn.Module):
    """The whole network with its LSTM and head, published or fine-tuned.

    Parameters
    ----------
    network
        The network, which is copied; the copy is not trained. Its head may be any module from
        (B, 128) to (B, K).
    mask
        The voxels that a prepared volume holds, on the network's grid, (X, Y, Z).

    Raises
    ------
    ConfigError
        The mask is empty or on another grid.
    """

    network: DeepLight
    classes: int
    voxels: int

    def __init__(self, network: DeepLight, mask: Bool) -> None:
        super().__init__()
        _check(network, mask)
        self.network = _frozen_copy(network)
        self.slices = MaskedSlices(mask)
        self.sequence = SliceSequence(self.network, self.slices)
        self.voxels = self.slices.voxels
        with torch.no_grad():
            self.classes = self.network.head(torch.zeros(1, 2 * UNITS)).shape[1]

    def forward(self, volume: Tensor) -> Tensor:
        """Return the logits (K,) of one prepared volume (V,)."""
        sequence = self.sequence(self.network.conv_features(self.slices(volume)))
        return self.network.head(self.network.sequence_features(sequence))[0]


class LayerEvidence(nn.Module):
    """A linear head on the output of one of the convolutions.

    With few data it is much better than the recurrent features
    (`docs/decisions/0006-read-out-layer.md`).

    Parameters
    ----------
    network, mask
        As for `NetworkEvidence`.
    read_out
        The linear head.
    """

    network: DeepLight
    classes: int
    voxels: int

    def __init__(self, network: DeepLight, mask: Bool, read_out: LinearReadOut) -> None:
        super().__init__()
        _check(network, mask)
        self.network = _frozen_copy(network)
        self.slices = MaskedSlices(mask)
        self.read_out = read_out
        self.voxels = self.slices.voxels
        self.classes = read_out.classes

    def forward(self, volume: Tensor) -> Tensor:
        """Return the logits (K,) of one prepared volume (V,)."""
        return self.read_out(self.network, self.slices(volume))


class VoxelEvidence(nn.Module):
    """A linear head on the voxels, without a network.

    Parameters
    ----------
    weight
        Weights of the voxels, (K, V).
    bias
        Biases, (K,).
    """

    weight: Tensor
    bias: Tensor
    classes: int
    voxels: int

    def __init__(self, weight: Float32, bias: Float32) -> None:
        super().__init__()
        self.classes, self.voxels = weight.shape
        self.register_buffer("weight", torch.from_numpy(weight))
        self.register_buffer("bias", torch.from_numpy(bias))

    def forward(self, volume: Tensor) -> Tensor:
        """Return the logits (K,) of one prepared volume (V,)."""
        return self.weight @ volume + self.bias


Part = NetworkEvidence | LayerEvidence | VoxelEvidence


class StackedEvidence(nn.Module):
    """The sum of the logits of several kinds of evidence.

    Parameters
    ----------
    parts
        The kinds of evidence, on the same voxels and classes; their heads contain their weights.
    """

    classes: int
    voxels: int

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.classes, self.voxels = parts[0].classes, parts[0].voxels
        if any((part.classes, part.voxels) != (self.classes, self.voxels) for part in parts):
            raise ConfigError("stacked decoders must have the same voxels and the same classes")
        self.parts = nn.ModuleList(parts)

    def forward(self, volume: Tensor) -> Tensor:
        """Return the logits (K,) of one prepared volume (V,)."""
        return torch.stack([part(volume) for part in self.parts]).sum(dim=0)


Evidence = Part | StackedEvidence


def _frozen_copy(network: DeepLight) -> DeepLight:
    return copy.deepcopy(network).eval().requires_grad_(requires_grad=False)


def _check(network: DeepLight, mask: Bool) -> None:
    problems = []
    if mask.shape != network.grid_shape:
        problems.append(
            f"the mask's shape {mask.shape} is not the network's grid {network.grid_shape}: "
            "resample the mask onto that grid"
        )
    if not mask.any():
        problems.append("the mask is empty: the network needs at least one voxel")
    if problems:
        raise ConfigError(problems)
