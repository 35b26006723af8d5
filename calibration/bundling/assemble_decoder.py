"""Assemble the torch module that is exported."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from calibration.data.labels import no_labels
from calibration.decoders.fit import FittedDecoder
from calibration.decoders.head import Head, add_heads
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
from calibration.networks.features import RECURRENT, VOXELS
from calibration.priors.study_prior import study_priors
from calibration.weights.pretrained import Pretrained
from calibration.weights.study import Study
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


def assemble_study(
    study: Study, network: DeepLight, space: Space, repetition_time_s: float
) -> StreamingDecoder:
    """Return the decoder of a study without own data, followed by the two read-outs."""
    priors = study_priors(study, study.about.classes, space.mask)
    empty = no_labels(study.about.classes)
    present = int(space.mask.any(axis=(0, 1)).sum())
    heads = []
    for one in priors:
        per_slice = study.layers[one.layer].per_slice
        n_features = int(space.mask.sum()) if one.layer == VOXELS else present * per_slice
        head = one.prior.head(np.zeros((0, n_features), np.float32), empty)
        heads.append((one.layer, head, 1 / len(priors)))
    return StreamingDecoder(
        evidence_of(add_heads(heads), network, space.mask),
        ReadOutSettings(
            max(1, round(ZERO_SHOT_WINDOW_S / repetition_time_s)), study.about.temperature
        ),
    )


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
    return evidence_of(fitted.weighted_heads(), network, mask)


def evidence_of(heads: Mapping[int, Head], network: DeepLight, mask: Bool) -> Evidence:
    """Return the module that adds the logits of one head for each layer."""
    parts = [_part(layer, head, network, mask) for layer, head in heads.items()]
    return parts[0] if len(parts) == 1 else StackedEvidence(parts)


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
