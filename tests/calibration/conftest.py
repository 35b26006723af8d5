"""A slow network in numpy, written from the paper's TensorFlow conventions alone."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

GRID = (10, 8, 5)
"""Columns 10, 5, 3, 2, 1 and rows 8, 4, 2, 1, 1: strides of 2 meet even and odd sizes."""
CHANNELS = (1, 8, 8, 16, 16, 32, 32, 32, 32, 64, 64, 64, 64)
STRIDES = (1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _convolve_same(image: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int):
    """TensorFlow's conv2d with SAME on one (rows, columns, channels) image, loop by loop."""
    outputs = [-(-n // stride) for n in image.shape[:2]]
    totals = [
        max((m - 1) * stride + 3 - n, 0) for m, n in zip(outputs, image.shape[:2], strict=True)
    ]
    pads = [(t // 2, t - t // 2) for t in totals]
    padded = np.pad(image, [*pads, (0, 0)])
    result = np.empty((*outputs, kernel.shape[3]))
    for row in range(outputs[0]):
        for column in range(outputs[1]):
            patch = padded[row * stride : row * stride + 3, column * stride : column * stride + 3]
            result[row, column] = np.tensordot(patch, kernel, 3) + bias
    return np.maximum(result, 0)


def _last_hidden(sequence: np.ndarray, arrays: dict[str, np.ndarray], layer: str) -> np.ndarray:
    hidden, cell = np.zeros(64), np.zeros(64)
    for x in sequence:
        gates = (
            arrays[f"{layer}/weights_xh"] @ x
            + arrays[f"{layer}/biases_xh"]
            + arrays[f"{layer}/weights_hh"] @ hidden
            + arrays[f"{layer}/biases_hh"]
        )
        enter, candidate, forget, leave = np.split(gates, 4)
        cell = _sigmoid(forget + 1.0) * cell + _sigmoid(enter) * np.tanh(candidate)
        hidden = _sigmoid(leave) * np.tanh(cell)
    return hidden


def _logits(arrays: dict[str, np.ndarray], volume: np.ndarray) -> np.ndarray:
    arrays = {name: value.astype(np.float64) for name, value in arrays.items()}
    sequence = []
    for z in range(volume.shape[2]):
        image = volume[:, :, z].T[:, :, None].astype(np.float64)
        for layer, stride in enumerate(STRIDES):
            name = f"conv2d_{2 * layer + 1}"
            image = _convolve_same(
                image, arrays[f"{name}/weights"], arrays[f"{name}/biases"], stride
            )
        sequence.append(image.ravel())
    features = np.concatenate(
        [
            _last_hidden(np.array(sequence), arrays, "lstm_fw_26"),
            _last_hidden(np.array(sequence)[::-1], arrays, "lstm_bw_27"),
        ]
    )
    return features @ arrays["linear_29/weights"] + arrays["linear_29/biases"]


@pytest.fixture
def slow_logits() -> Callable[[dict[str, np.ndarray], np.ndarray], np.ndarray]:
    """Return a function from TensorFlow variables and a volume to logits, in float64."""
    return _logits


@pytest.fixture
def deeplight_variables(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return random TensorFlow variables for `GRID` and 4 states, loud in every layer."""
    arrays = {}
    for layer, (before, after) in enumerate(pairwise(CHANNELS)):
        kernel = rng.standard_normal((3, 3, before, after)) * np.sqrt(2 / (9 * before))
        arrays[f"conv2d_{2 * layer + 1}/weights"] = kernel
        arrays[f"conv2d_{2 * layer + 1}/biases"] = 0.1 * rng.standard_normal(after)
    for layer in ("lstm_fw_26", "lstm_bw_27"):
        arrays[f"{layer}/weights_xh"] = rng.standard_normal((256, 64)) / 4
        arrays[f"{layer}/weights_hh"] = rng.standard_normal((256, 64)) / 8
        arrays[f"{layer}/biases_xh"] = rng.standard_normal(256)
        arrays[f"{layer}/biases_hh"] = rng.standard_normal(256)
    arrays["linear_29/weights"] = rng.standard_normal((128, 4))
    arrays["linear_29/biases"] = rng.standard_normal(4)
    return {name: value.astype(np.float32) for name, value in arrays.items()}
