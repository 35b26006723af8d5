"""From the slices that hold voxels to the sequence of all slices that the LSTM reads."""

import numpy as np
import torch
from torch import Tensor, nn

from calibration.networks.deeplight import DeepLight
from calibration.networks.slices import MaskedSlices


class SliceSequence(nn.Module):
    """Puts the vectors of the slices that hold a voxel into their places among all slices.

    Every other slice is all zero, so that its vector is the same at each volume; it is computed
    once, here.

    Parameters
    ----------
    network
        Whose convolutions made the activations.
    slices
        Which slices there are.
    """

    order: Tensor
    empty: Tensor

    def __init__(self, network: DeepLight, slices: MaskedSlices) -> None:
        super().__init__()
        _, _, rows, columns = slices.shape
        # The last row of the stacked vectors is the empty slice's.
        order = np.full(network.grid_shape[2], len(slices.present))
        order[slices.present] = np.arange(len(slices.present))
        with torch.no_grad():
            device = next(network.parameters()).device
            empty = network.slice_vectors(torch.zeros(1, 1, rows, columns, device=device))
        self.register_buffer("order", torch.from_numpy(order).to(device))
        self.register_buffer("empty", empty)

    def forward(self, activations: Tensor) -> Tensor:
        """Return the sequence (1, Z, D) for one volume's last activations (S, C, rows, columns)."""
        vectors = torch.cat([DeepLight.as_vectors(activations), self.empty])
        return vectors.index_select(0, self.order).unsqueeze(0)
