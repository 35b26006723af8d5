"""2D-DeepLight: convolutions over axial slices, then a bidirectional LSTM over the slices."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rtdecode.errors import ConfigError

KERNEL = 3
UNITS = 64
"""LSTM units per direction."""
SEQUENCE_KEEP = 0.5
"""Probability that a recurrent feature is not dropped in training."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """One 3x3 convolution with SAME padding, followed by ReLU and channel dropout."""

    channels: int
    stride: int
    keep: float
    """Probability that a channel is not dropped in training."""


CONVOLUTIONS = (
    Convolution(8, 1, 1.0),
    Convolution(8, 1, 1.0),
    Convolution(16, 2, 1.0),
    Convolution(16, 1, 1.0),
    Convolution(32, 2, 0.8),
    Convolution(32, 1, 0.8),
    Convolution(32, 2, 0.8),
    Convolution(32, 1, 0.8),
    Convolution(64, 2, 0.6),
    Convolution(64, 1, 0.6),
    Convolution(64, 2, 0.6),
    Convolution(64, 1, 0.6),
)


def same_padding(size: int, stride: int) -> tuple[int, int]:
    """Return the number of zeros that TensorFlow's SAME adds before and after an axis of `size`.

    If the total is odd, the extra zero is after the axis. PyTorch's symmetric padding differs
    there: a stride of 2 over an even size needs (0, 1).
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + KERNEL - size, 0)
    return total // 2, total - total // 2


class DeepLight(nn.Module):
    """2D-DeepLight of Thomas et al. 2019 (arXiv:1907.01953), equal to the published TensorFlow.

    A volume is a sequence of axial slices, bottom to top. Twelve convolutions map each slice to a
    vector. A bidirectional LSTM reads the vectors; the last outputs of its two directions are the
    128 features, and a linear head maps these to logits.

    Parameters
    ----------
    grid_shape
        Shape of the volumes, (X, Y, Z). The published weights need (91, 109, 91) in the voxel order
        of FSL's MNI152 2 mm grid, whose first axis runs from right to left.
    n_states
        Number of outputs of the head.
    """

    def __init__(
        self, grid_shape: tuple[int, int, int] = (91, 109, 91), n_states: int = 16
    ) -> None:
        super().__init__()
        self.grid_shape = grid_shape
        columns, rows, _ = grid_shape
        self.convolutions = nn.ModuleList()
        self.overhang: list[tuple[int, int]] = []
        channels = (1, *(layer.channels for layer in CONVOLUTIONS))
        for layer, (before, after) in zip(CONVOLUTIONS, pairwise(channels), strict=True):
            row_pads = same_padding(rows, layer.stride)
            column_pads = same_padding(columns, layer.stride)
            # The zeros that SAME adds on both sides are the convolution's padding. The zero that it
            # adds at one end only is the overhang, which is padded before the convolution.
            self.convolutions.append(
                nn.Conv2d(
                    before, after, KERNEL, layer.stride, padding=(row_pads[0], column_pads[0])
                )
            )
            self.overhang.append((row_pads[1] - row_pads[0], column_pads[1] - column_pads[0]))
            rows, columns = -(-rows // layer.stride), -(-columns // layer.stride)
        self.lstm = nn.LSTM(
            rows * columns * channels[-1], UNITS, batch_first=True, bidirectional=True
        )
        self.dropout = nn.Dropout(1 - SEQUENCE_KEEP)
        self.head = nn.Linear(2 * UNITS, n_states)
        self._initialise()

    def convolution(self, index: int) -> nn.Conv2d:
        """Return one of the twelve convolutions by its index."""
        return cast("nn.Conv2d", self.convolutions[index])

    def _initialise(self) -> None:
        """Draw weights as the authors do: Glorot normal, zero biases, open forget gates."""
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.xavier_normal_(parameter)
            else:
                nn.init.zeros_(parameter)
            if name.startswith("lstm.bias_ih"):
                # PyTorch stacks the gates input, forget, candidate, output.
                nn.init.ones_(parameter.data[UNITS : 2 * UNITS])

    def slices(self, volume: Tensor) -> Tensor:
        """Return the axial slices (B * Z, 1, Y, X) of volumes (B, X, Y, Z).

        Raises
        ------
        ConfigError
            The volumes are not on this network's grid.
        """
        if tuple(volume.shape[1:]) != self.grid_shape:
            raise ConfigError(
                f"volumes of shape {tuple(volume.shape)} do not fit this network: it needs "
                f"(batch, {', '.join(map(str, self.grid_shape))}); resample them to its grid"
            )
        columns, rows, _ = self.grid_shape
        return volume.permute(0, 3, 2, 1).reshape(-1, 1, rows, columns)

    def conv_features(self, slices: Tensor, depth: int = len(CONVOLUTIONS)) -> Tensor:
        """Return the activations (N, C, rows, columns) after `depth` convolutions.

        Parameters
        ----------
        slices
            Axial slices (N, 1, Y, X).
        depth
            Number of convolutions to compute.
        """
        return self.run(slices, 0, depth)

    def run(self, activations: Tensor, first: int, depth: int) -> Tensor:
        """Return the activations after `depth` convolutions, given those after `first`."""
        for step in self.stepwise(activations, depth, first):
            activations = step
        return activations

    def stepwise(self, x: Tensor, depth: int, first: int = 0) -> Iterator[Tensor]:
        """Yield the activations after each convolution up to `depth`, given those after `first`."""
        for index in range(first, depth):
            rows, columns = self.overhang[index]
            if rows or columns:
                x = functional.pad(x, (0, columns, 0, rows))
            x = functional.relu(self.convolutions[index](x))
            if self.training and CONVOLUTIONS[index].keep < 1:
                x = functional.dropout2d(x, 1 - CONVOLUTIONS[index].keep)
            yield x

    def slice_vectors(self, slices: Tensor) -> Tensor:
        """Return the LSTM's input for each slice, (N, rows * columns * channels)."""
        return self.as_vectors(self.conv_features(slices))

    @staticmethod
    def as_vectors(activations: Tensor) -> Tensor:
        """Return the LSTM's input for the last activations (N, C, rows, columns)."""
        # TensorFlow keeps channels last, and the LSTM's weights expect that order.
        return activations.permute(0, 2, 3, 1).flatten(1)

    def sequence_features(self, vectors: Tensor) -> Tensor:
        """Return the features (B, 128) of slice vectors (B, Z, D), bottom slice first."""
        _, (last, _) = self.lstm(vectors)
        return torch.cat([last[0], last[1]], dim=1)

    def features(self, volume: Tensor) -> Tensor:
        """Return the 128 recurrent features (B, 128) of volumes (B, X, Y, Z)."""
        vectors = self.slice_vectors(self.slices(volume))
        return self.sequence_features(vectors.unflatten(0, (-1, self.grid_shape[2])))

    def forward(self, volume: Tensor) -> Tensor:
        """Return logits (B, n_states) of volumes (B, X, Y, Z)."""
        return self.head(self.dropout(self.features(volume)))
