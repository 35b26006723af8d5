"""Initial weights with which a plain, deep network learns within an hour.

With random weights, twelve rectified convolutions and a recurrent layer over 46 slices pass on very
little of their input, and training makes almost no progress in minutes on a CPU. With these weights
it makes progress from the first minutes on. The architecture is the published one.
"""

import math

import torch
from torch import Tensor

from calibration.networks import DeepLight
from calibration.networks.deeplight import CONVOLUTIONS, UNITS

NOISE = 0.1
"""Share of He's random weights that is added to the identity."""

LOSSLESS_LAYERS = 2
"""Number of layers with a stride of 2 that preserve every pixel."""


def initial_network(grid_shape: tuple[int, int, int], n_states: int, seed: int) -> DeepLight:
    """Return a network that nearly passes its input on, with LSTM units of many time constants.

    Convolutions start near the identity (a Dirac initialisation, as in Zagoruyko and Komodakis
    2017). The first one smooths slightly and passes its input on with both signs, because of the
    ReLUs. The first two layers with a stride of 2 preserve every pixel: each of four neighbours
    moves to a separate channel (space to depth). The other ones average before they skip pixels.
    The memory of the LSTM's units ranges from one slice to all 46 (chrono initialisation, Tallec
    and Ollivier 2018), so that together they encode the position of a signal in the brain.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DeepLight(grid_shape, n_states)
    with torch.no_grad():
        _set_convolutions(network, generator)
        _set_lstm(network, grid_shape[2])
    return network


def kernels(network: DeepLight) -> list[Tensor]:
    """Return the convolutions' weights (outputs, inputs, 3, 3) in the order of the layers."""
    return [weight for weight in network.convolutions.parameters() if weight.ndim > 1]


def _set_convolutions(network: DeepLight, generator: torch.Generator) -> None:
    blur = torch.tensor([1.0, 2.0, 1.0]) / 4
    level = 0
    for layer, parameters in zip(CONVOLUTIONS, kernels(network), strict=True):
        outputs, inputs = parameters.shape[:2]
        parameters.normal_(0.0, NOISE * (2 / (9 * inputs)) ** 0.5, generator=generator)
        for channel in range(outputs):
            kernel = parameters[channel, channel % inputs]
            if inputs == 1:
                kernel += (-1) ** channel * torch.outer(blur, blur)
            elif layer.stride == 2 and level >= LOSSLESS_LAYERS:
                kernel += torch.outer(blur, blur)
            else:
                row, column = _neighbour(channel, level) if layer.stride == 2 else (0, 0)
                kernel[1 + row, 1 + column] += 1.0
        level += layer.stride == 2


def _neighbour(channel: int, level: int) -> tuple[int, int]:
    """Return which of 2 x 2 neighbours (row, column) a channel takes in a layer of stride 2.

    Channels are pairs of signs. Each of the four pairs of the first layer feeds two channels of the
    first layer of stride 2 (`level` 0), and each of those feeds two of the second.
    """
    if level == 0:
        return divmod(channel // 2 % 4, 2)
    return channel // 8 % 2, channel // 16 % 2


def _set_lstm(network: DeepLight, slices: int) -> None:
    spans = torch.exp(torch.linspace(0.0, math.log(slices - 1), UNITS))
    for name, bias in network.lstm.named_parameters():
        if name.startswith("bias_ih"):
            # PyTorch stacks the gates input, forget, candidate, output.
            bias[UNITS : 2 * UNITS] = torch.log(spans)
            bias[:UNITS] = 1 - torch.log(spans)
