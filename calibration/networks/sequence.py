"""Complete the slices with voxels to the sequence of all slices, which the LSTM reads."""

import numpy as np
import torch
from torch import Tensor, nn

from calibration.networks.deeplight import DeepLight
from calibration.networks.slice_layout import MaskedSlices


class SliceSequence(nn.Module):
    """Places the vectors of the slices with voxels among those of all slices.

    All other slices are zero, so that their vector is the same at each volume. It is computed once,
    when the object is created.

    Parameters
    ----------
    network
        The network of the activations.
    slices
        The slices with voxels.
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
    """Return the sequences (B, Z, D) of several volumes, in one graph for training.

    Parameters
    ----------
    network
        The network of the activations; the output of an empty slice is computed again.
    slices
        The slices with voxels, S of them.
    activations
        Last activations, (B * S, C, rows, columns), volume by volume.
    """
    vectors = DeepLight.as_vectors(activations).unflatten(0, (-1, len(slices.present)))
    empty_slice = torch.zeros(1, *slices.shape[1:], device=activations.device)
    empty = network.slice_vectors(empty_slice).to(vectors.dtype)
    stacked = torch.cat([vectors, empty.expand(len(vectors), 1, -1)], dim=1)
    return stacked.index_select(1, _order(network, slices).to(activations.device))


def _order(network: DeepLight, slices: MaskedSlices) -> Tensor:
    """Return the index of each slice's vector, (Z,); the last vector is the empty slice's."""
    order = np.full(network.grid_shape[2], len(slices.present))
    order[slices.present] = np.arange(len(slices.present))
    return torch.from_numpy(order)
