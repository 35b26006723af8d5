"""The streaming decoder: mask vector and window in, probabilities and window out."""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from calibration.networks.deeplight import UNITS, DeepLight
from calibration.networks.read_out import ReadOut
from calibration.networks.slices import MaskedSlices
from calibration.networks.window import decide, slide
from rtdecode.errors import ConfigError
from rtdecode.types import Bool, State


class StreamingDecoder(nn.Module):
    """What a bundle's `decoder.onnx` computes for one volume.

    Only the slices that hold a voxel of the mask pass the convolutions. Every other slice is all
    zero, so that its vector is the same at each volume; it is computed once, here.

    Parameters
    ----------
    network
        A trained network; it is copied, and the copy never trains. Its head may have been replaced
        by any module from (B, 128) to (B, K).
    mask
        The voxels that a prepared volume holds, on the network's grid, (X, Y, Z).
    window_volumes
        Length L of the window, in volumes.
    temperature
        What the logits are divided by before they become probabilities (Guo et al. 2017).
    read_out
        Decides from the features after some of the convolutions, in place of what follows them.

    Raises
    ------
    ConfigError
        Mask, window or temperature do not fit.
    """

    # The names that a module's buffers and children go by.
    order: Tensor
    empty: Tensor
    temperature: Tensor
    network: DeepLight

    def __init__(
        self,
        network: DeepLight,
        mask: Bool,
        window_volumes: int,
        temperature: float,
        read_out: ReadOut | None = None,
    ) -> None:
        super().__init__()
        _check(network, mask, window_volumes, temperature)
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)
        self.window_volumes = window_volumes
        columns, rows, _ = mask.shape
        self.slices = MaskedSlices(mask)
        self.read_out = read_out
        present = self.slices.present
        self.voxels = self.slices.voxels
        # The last row of the stacked vectors is the empty slice's.
        order = np.full(mask.shape[2], len(present))
        order[present] = np.arange(len(present))
        with torch.no_grad():
            empty = self.network.slice_vectors(torch.zeros(1, 1, rows, columns))
            head = self.network.head(torch.zeros(1, 2 * UNITS))
        self.classes = head.shape[1] if read_out is None else read_out.classes
        self.register_buffer("order", torch.from_numpy(order))
        self.register_buffer("empty", empty)
        self.register_buffer("temperature", torch.tensor(temperature, dtype=torch.float32))

    def initial_state(self) -> State:
        """Return an empty window: `evidence` (L, K) and `weight` (L,), float32."""
        return {
            "evidence": np.zeros((self.window_volumes, self.classes), np.float32),
            "weight": np.zeros(self.window_volumes, np.float32),
        }

    def logits(self, volume: Tensor) -> Tensor:
        """Return the network's logits (K,) for one prepared volume (V,)."""
        slices = self.slices(volume)
        if self.read_out is not None:
            return self.read_out(self.network, slices)
        vectors = torch.cat([self.network.slice_vectors(slices), self.empty])
        sequence = vectors.index_select(0, self.order).unsqueeze(0)
        return self.network.head(self.network.sequence_features(sequence))[0]

    def forward(
        self, volume: Tensor, usable: Tensor, elapsed: Tensor, evidence: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode one volume and move the window on.

        Parameters
        ----------
        volume
            Prepared voxels in C order of the mask, (V,), float32.
        usable
            1 where the volume counts as evidence, else 0; (), float32.
        elapsed
            Its index minus the index of the volume before, at least 1; (), int64.
        evidence
            Log-probabilities in the window, newest last, (L, K).
        weight
            Their weights, (L,).

        Returns
        -------
        probabilities (K,), volume_log_probabilities (K,), evidence_next (L, K), weight_next (L,)
        """
        newest = torch.log_softmax(self.logits(volume) / self.temperature, dim=0)
        evidence_next, weight_next = slide(evidence, weight, newest, usable, elapsed)
        return decide(evidence_next, weight_next), newest, evidence_next, weight_next


def _check(network: DeepLight, mask: Bool, window_volumes: int, temperature: float) -> None:
    problems = []
    if mask.shape != network.grid_shape:
        problems.append(
            f"the mask's shape {mask.shape} is not the network's grid {network.grid_shape}: "
            "resample the mask onto that grid"
        )
    if not mask.any():
        problems.append("the mask is empty: no voxel would reach the network")
    if window_volumes < 1:
        problems.append(f"window_volumes is {window_volumes}: a window holds at least 1 volume")
    if not (np.isfinite(temperature) and temperature > 0):
        problems.append(f"temperature is {temperature}: it must be positive and finite")
    if problems:
        raise ConfigError(problems)
