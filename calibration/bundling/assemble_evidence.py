"""From what was fitted to the module that is exported."""

import copy

import torch
from torch import nn

from calibration.decoders.fit import VOXELS, Fitted
from calibration.decoders.lda import Head
from calibration.networks import (
    DeepLight,
    Evidence,
    LayerEvidence,
    LinearReadOut,
    NetworkEvidence,
    Part,
    StackedEvidence,
    VoxelEvidence,
)
from calibration.networks.features import RECURRENT
from rtdecode.types import Bool


def evidence_of(fitted: Fitted, network: DeepLight, mask: Bool) -> Evidence:
    """Return the module from a prepared volume (V,) to logits (K,) that a fit describes."""
    if len(fitted.chosen.parts) == 1:
        (name,) = fitted.chosen.parts
        return _part(fitted.layers[name], fitted.heads[name], network, mask)
    first, second = (
        _part(fitted.layers[name], fitted.heads[name], network, mask)
        for name in fitted.chosen.parts
    )
    return StackedEvidence(first, second, (fitted.chosen.shares[0], fitted.chosen.shares[1]))


def _part(layer: int, head: Head, network: DeepLight, mask: Bool) -> Part:
    if layer == VOXELS:
        return VoxelEvidence(head.weight, head.bias)
    if layer != RECURRENT:
        return LayerEvidence(network, mask, LinearReadOut(layer, head.weight, head.bias))
    network = copy.deepcopy(network)
    network.head = nn.Linear(head.weight.shape[1], head.weight.shape[0])
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
    return NetworkEvidence(network, mask)
