"""Assemble the torch module that is exported."""

import copy

import torch
from torch import nn

from calibration.decoders.fit import VOXELS, FittedDecoder
from calibration.decoders.lda import Head
from calibration.networks import (
    DeepLight,
    Evidence,
    LayerEvidence,
    LinearReadOut,
    NetworkEvidence,
    Part,
    ReadOutSettings,
    StackedEvidence,
    StreamingDecoder,
    VoxelEvidence,
)
from calibration.networks.features import RECURRENT
from calibration.weights.pretrained import Pretrained
from rtdecode.stages import Space
from rtdecode.types import Bool

ZERO_SHOT_WINDOW_S = 8.0


def assemble_zero_shot(
    pretrained: Pretrained, space: Space, repetition_time_s: float
) -> StreamingDecoder:
    """Return the network as published, followed by the two read-outs."""
    window_volumes = max(1, round(ZERO_SHOT_WINDOW_S / repetition_time_s))
    evidence = NetworkEvidence(pretrained.network, space.mask)
    return StreamingDecoder(evidence, ReadOutSettings(window_volumes))


def assemble_fitted(
    fitted: FittedDecoder, pretrained: Pretrained, space: Space, repetition_time_s: float
) -> StreamingDecoder:
    """Return the fitted decoder."""
    chosen = fitted.read_outs.chosen
    return StreamingDecoder(
        assemble_evidence(fitted, pretrained.network, space.mask),
        ReadOutSettings(
            chosen.window_volumes,
            chosen.temperature,
            fitted.read_outs.fast_retention,
            chosen.none_threshold,
            None if chosen.dwell_s is None else chosen.dwell_s / repetition_time_s,
        ),
    )


def assemble_evidence(fitted: FittedDecoder, network: DeepLight, mask: Bool) -> Evidence:
    """Return the module that computes logits (K,) from a prepared volume (V,)."""
    parts = [
        _part(fitted.layers[name], fitted.heads[name], network, mask)
        for name in fitted.chosen.parts
    ]
    if len(parts) == 1:
        return parts[0]
    first, second = parts
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
