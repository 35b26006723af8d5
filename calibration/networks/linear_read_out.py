"""A linear output layer on the features after one of the convolutions."""

import torch
from torch import Tensor, nn

from calibration.networks.deeplight import CONVOLUTIONS, DeepLight
from rtdecode.errors import ConfigError
from rtdecode.types import Float32


class LinearReadOut(nn.Module):
    """Logits directly from a convolution's output for all slices.

    With few data it is much better than the recurrent features
    (`docs/decisions/0006-read-out-layer.md`).

    Parameters
    ----------
    layer
        Number of convolutions before the read-out.
    weight
        Weights, (K, features); features in C order of (slices, channels, rows, columns).
    bias
        Biases, (K,).
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: int, weight: Float32, bias: Float32) -> None:
        super().__init__()
        if not 1 <= layer <= len(CONVOLUTIONS):
            raise ConfigError(f"read-out layer {layer}: it must be 1 to {len(CONVOLUTIONS)}")
        self.layer = layer
        self.classes = len(bias)
        self.register_buffer("weight", torch.from_numpy(weight))
        self.register_buffer("bias", torch.from_numpy(bias))

    def forward(self, network: DeepLight, slices: Tensor) -> Tensor:
        """Return the logits (K,) of one volume's slices (S, 1, Y, X)."""
        return self.weight @ network.conv_features(slices, self.layer).reshape(-1) + self.bias
