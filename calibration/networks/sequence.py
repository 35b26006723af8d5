"""From the slices that hold voxels to the sequence of all slices that the LSTM reads."""

import numpy as np
import torch
from torch import Tensor, nn

from calibration.networks.deeplight import DeepLight
from calibration.networks.slice_layout import MaskedSlices


class SliceSequence(nn.Module):
    """Puts the vectors of the slices that hold a voxel into their places among all slices.

    Every other slice is all zero, so that its vector is the same at each volume; it is computed
    once, here.

    Parameters
    ----------
    network
        The network of the activations.
    slices
        Which slices there are.
    """

    order: Tensor
    empty: Tensor

    def __init__(self, network: DeepLight, slices: MaskedSlices) -> None:
        super().__init__()
        _, _, rows, columns = slices.shape
        with torch.no_grad():
            device = next(network.parameters()).device
            empty = network.slice_vectors(torch.zeros(1, 1, rows, columns, device=device))
        self.register_buffer("order", _order(network, slices).to(device))
        self.register_buffer("empty", empty)

    def forward(self, activations: Tensor) -> Tensor:
        """Return the sequence (1, Z, D) for one volume's last activations (S, C, rows, columns)."""
        vectors = torch.cat([DeepLight.as_vectors(activations), self.empty])
        return vectors.index_select(0, self.order).unsqueeze(0)


def batch_sequences(network: DeepLight, slices: MaskedSlices, activations: Tensor) -> Tensor:
    """Return the sequences (B, Z, D) of several volumes, in one graph for learning.

    Parameters
    ----------
    network
        The network of the activations; the output of an empty slice is computed again.
    slices
        Which slices there are, S of them.
    activations
        (B * S, C, rows, columns), volume by volume.
    """
    vectors = DeepLight.as_vectors(activations).unflatten(0, (-1, len(slices.present)))
    empty = torch.zeros(1, *slices.shape[1:], device=activations.device)
    nothing = network.slice_vectors(empty).to(vectors.dtype)
    every = torch.cat([vectors, nothing.expand(len(vectors), 1, -1)], dim=1)
    return every.index_select(1, _order(network, slices).to(activations.device))


def _order(network: DeepLight, slices: MaskedSlices) -> Tensor:
    """Return which of the stacked vectors each slice takes, (Z,); the last is an empty slice's."""
    order = np.full(network.grid_shape[2], len(slices.present))
    order[slices.present] = np.arange(len(slices.present))
    return torch.from_numpy(order)
