"""Weights to begin with that let a plain, deep network learn within the hour.

Drawn at random, twelve rectified convolutions and a recurrent layer over 46 slices pass on so
little of what they read that a CPU sees hardly any progress in minutes. Begun like this they learn
from the first ones on; the architecture is the published one all the same.
"""

import math

import torch
from torch import Tensor

from calibration.networks import DeepLight
from calibration.networks.deeplight import CONVOLUTIONS, UNITS

NOISE = 0.1
"""Share of He's random weights on top of the identity."""


KEPT = 2
"""Layers with a stride of 2 that keep every pixel."""


def initial_network(grid_shape: tuple[int, int, int], n_states: int, seed: int) -> DeepLight:
    """Return a network that passes its input on, nearly, and remembers slices for long or short.

    Convolutions begin near the identity (a Dirac initialisation, as in Zagoruyko and Komodakis
    2017). The first smooths a little and passes its input on with both signs, for the sake of the
    ReLUs. Of the layers with strides of 2 the first two keep every pixel: each of four neighbours
    moves to a channel of its own (space to depth); the others average before they skip. The units
    of the LSTM forget at rates of their own (chrono initialisation, Tallec and Ollivier 2018): from
    one slice to all 46, so that between them they know where in the brain something was.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DeepLight(grid_shape, n_states)
    with torch.no_grad():
        _begin_convolutions(network, generator)
        _begin_lstm(network, grid_shape[2])
    return network


def kernels(network: DeepLight) -> list[Tensor]:
    """Return the convolutions' weights (outputs, inputs, 3, 3), the first layer's first."""
    return [weight for weight in network.convolutions.parameters() if weight.ndim > 1]


def _begin_convolutions(network: DeepLight, generator: torch.Generator) -> None:
    blur = torch.tensor([1.0, 2.0, 1.0]) / 4
    shrunk = 0
    for layer, parameters in zip(CONVOLUTIONS, kernels(network), strict=True):
        outputs, inputs = parameters.shape[:2]
        parameters.normal_(0.0, NOISE * (2 / (9 * inputs)) ** 0.5, generator=generator)
        for channel in range(outputs):
            kernel = parameters[channel, channel % inputs]
            if inputs == 1:
                kernel += (-1) ** channel * torch.outer(blur, blur)
            elif layer.stride == 2 and shrunk >= KEPT:
                kernel += torch.outer(blur, blur)
            else:
                row, column = _neighbour(channel, shrunk) if layer.stride == 2 else (0, 0)
                kernel[1 + row, 1 + column] += 1.0
        shrunk += layer.stride == 2


def _neighbour(channel: int, shrunk: int) -> tuple[int, int]:
    """Return which of 2 x 2 neighbours (row, column) a channel takes in a layer of stride 2.

    Channels are pairs of signs; each of the first layer's four pairs serves two channels of the
    first such layer (`shrunk` 0), and each of those two of the second.
    """
    if shrunk == 0:
        return divmod(channel // 2 % 4, 2)
    return channel // 8 % 2, channel // 16 % 2


def _begin_lstm(network: DeepLight, slices: int) -> None:
    spans = torch.exp(torch.linspace(0.0, math.log(slices - 1), UNITS))
    for name, bias in network.lstm.named_parameters():
        if name.startswith("bias_ih"):
            # PyTorch stacks the gates input, forget, candidate, output.
            bias[UNITS : 2 * UNITS] = torch.log(spans)
            bias[:UNITS] = 1 - torch.log(spans)
