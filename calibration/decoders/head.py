"""Linear heads, which turn features into logits."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtdecode.types import Float32, Float64


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear output layer: logits = weight @ features + bias."""

    weight: Float32
    """(K, F)"""
    bias: Float32
    """(K,)"""

    def log_probabilities(self, features: Float32) -> Float64:
        """Return (m, K) log-probabilities of (m, F) features."""
        return log_softmax(features.astype(np.float32) @ self.weight.T + self.bias)


def log_softmax(logits: NDArray[np.floating]) -> Float64:
    """Return (n, K) log-probabilities of logits."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def add_heads(heads: Iterable[tuple[int, Head, float]]) -> dict[int, Head]:
    """Return one head for each layer from (layer, head, share): the sum of heads times shares."""
    total: dict[int, Head] = {}
    for layer, head, share in heads:
        weight, bias = np.float32(share) * head.weight, np.float32(share) * head.bias
        if layer in total:
            weight, bias = total[layer].weight + weight, total[layer].bias + bias
        total[layer] = Head(weight, bias)
    return total
