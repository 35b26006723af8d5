"""Convert the authors' TensorFlow variables to our network."""

from collections.abc import Mapping

import numpy as np
import torch

from calibration.networks.deeplight import CONVOLUTIONS, UNITS, DeepLight
from rtdecode.errors import ConfigError
from rtdecode.types import Float32

# Their LSTM stacks input, candidate, forget, output; PyTorch's input, forget, candidate, output.
GATES = np.concatenate([np.arange(UNITS) + UNITS * gate for gate in (0, 2, 1, 3)])
FORGET_BIAS = 1.0
"""They add it to the forget gate's pre-activation at run time, so the file lacks it."""


def network_of(arrays: Mapping[str, Float32], grid_shape: tuple[int, int, int]) -> DeepLight:
    """Return the network that TensorFlow would have built from its variables, evaluating.

    Parameters
    ----------
    arrays
        By variable name, such as `conv2d_1/weights`.
    grid_shape
        (X, Y, Z) of the volumes it reads.

    Raises
    ------
    ConfigError
        A variable is missing, or has another shape than the architecture's.
    """
    try:
        state = _state(arrays)
    except KeyError as error:
        raise ConfigError(f"the weights lack {error}: they belong to another model") from None
    network = DeepLight(grid_shape, len(state["head.bias"]))
    try:
        network.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    except RuntimeError as error:
        raise ConfigError(f"the weights are not 2D-DeepLight's: {error}") from error
    return network.eval()


def _state(arrays: Mapping[str, Float32]) -> dict[str, Float32]:
    state = {}
    for index in range(len(CONVOLUTIONS)):
        # Their layers count the dropouts between the convolutions.
        layer = f"conv2d_{2 * index + 1}"
        # (rows, columns, in, out) -> (out, in, rows, columns)
        state[f"convolutions.{index}.weight"] = arrays[f"{layer}/weights"].transpose(3, 2, 0, 1)
        state[f"convolutions.{index}.bias"] = arrays[f"{layer}/biases"]
    for layer, direction in (("lstm_fw_26", ""), ("lstm_bw_27", "_reverse")):
        bias = arrays[f"{layer}/biases_xh"][GATES]
        bias[UNITS : 2 * UNITS] += FORGET_BIAS
        state[f"lstm.bias_ih_l0{direction}"] = bias
        state[f"lstm.bias_hh_l0{direction}"] = arrays[f"{layer}/biases_hh"][GATES]
        state[f"lstm.weight_ih_l0{direction}"] = arrays[f"{layer}/weights_xh"][GATES]
        state[f"lstm.weight_hh_l0{direction}"] = arrays[f"{layer}/weights_hh"][GATES]
    state["head.weight"] = arrays["linear_29/weights"].T
    state["head.bias"] = arrays["linear_29/biases"]
    return state
