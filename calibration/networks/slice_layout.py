"""Arrange a mask's voxels as axial slices."""

import numpy as np
import torch
from torch import Tensor, nn

from rtdecode.types import Bool


class MaskedSlices(nn.Module):
    """Arranges a prepared volume (V,) as slices (S, 1, Y, X), bottom slice first.

    Parameters
    ----------
    mask
        The voxels that a prepared volume holds, in C order, (X, Y, Z). Slices without
        voxels are left out; `present` gives the indices of the others.
    """

    pixels: Tensor

    def __init__(self, mask: Bool) -> None:
        super().__init__()
        columns, rows, _ = mask.shape
        self.present = np.flatnonzero(mask.any(axis=(0, 1)))
        self.shape = (len(self.present), 1, rows, columns)
        self.voxels = int(mask.sum())
        position = np.full(mask.shape, self.voxels, np.int64)
        position[mask] = np.arange(self.voxels)
        pixels = np.ascontiguousarray(position[:, :, self.present].transpose(2, 1, 0)).reshape(-1)
        self.register_buffer("pixels", torch.from_numpy(pixels))

    def forward(self, volume: Tensor) -> Tensor:
        """Return the slices (S, 1, Y, X) of one prepared volume (V,)."""
        # Pixels outside the mask take the zero after the last voxel. ONNX Runtime needs 0.7 ms for
        # this GatherElements at 2 mm; the Gather of `index_select` needs 7 ms.
        padded = torch.cat([volume, volume.new_zeros(1)])
        return padded.gather(0, self.pixels).reshape(self.shape)
