"""Which voxels a decision rests on: layer-wise relevance propagation.

The epsilon rule (Bach et al. 2015, as Thomas et al. 2019 use it for DeepLight): a unit's relevance
is shared among its inputs in proportion to what each contributed to it,

    R_i = x_i sum_j w_ij R_j / (z_j + epsilon sign z_j)

What falls to the biases and to epsilon is absorbed; the rest arrives at the voxels, so that the
logit is the sum of the map and of what was absorbed.
"""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_input

from calibration.networks import Evidence, LayerEvidence, Part, StackedEvidence, VoxelEvidence
from calibration.networks.deeplight import DeepLight
from rtdecode.types import Float32, Float64

EPSILON = 1e-6


class Relevance(NamedTuple):
    """Contributions to a class's logit."""

    voxels: Float64
    """(V,) relevance of each voxel."""
    absorbed: float
    """Share of biases and epsilon."""
    logit: float
    """The explained logit: the sum of both, except for rounding."""


def explained(evidence: Evidence) -> bool:
    """Say whether the rule is written for this kind of evidence (not for the LSTM)."""
    if isinstance(evidence, StackedEvidence):
        return all(explained(part) for part in _parts(evidence))
    return isinstance(evidence, LayerEvidence | VoxelEvidence)


def relevance(evidence: Evidence, volume: Float32, target: int) -> Relevance:
    """Return the relevance of each voxel of a prepared volume for one class's logit.

    The logit explained is the class's own, less the mean of all: what speaks for every class alike
    decides nothing. For stacked evidence it is the sum of the logits of the parts.

    Parameters
    ----------
    evidence
        A `LayerEvidence`, a `VoxelEvidence` or a stack of them.
    volume
        (V,)
    target
        Which class.
    """
    if isinstance(evidence, StackedEvidence):
        parts = [relevance(part, volume, target) for part in _parts(evidence)]
        return Relevance(
            np.sum([part.voxels for part in parts], axis=0),
            float(sum(part.absorbed for part in parts)),
            float(sum(part.logit for part in parts)),
        )
    x = torch.from_numpy(np.array(volume, dtype=np.float32))
    with torch.no_grad():
        if isinstance(evidence, VoxelEvidence):
            weight, bias = _centred(evidence.weight, evidence.bias, target)
            shares = (weight * x).double()
            return Relevance(shares.numpy(), float(bias), float(shares.sum() + bias))
        if not isinstance(evidence, LayerEvidence):
            raise TypeError(f"no relevance rule for {type(evidence).__name__}")
        return _through_layers(evidence, x, target)


def _parts(evidence: StackedEvidence) -> list[Part]:
    return [cast("Part", part) for part in evidence.parts]


def _through_layers(evidence: LayerEvidence, volume: Tensor, target: int) -> Relevance:
    network, read_out = evidence.network, evidence.read_out
    slices = evidence.slices(volume)
    activations = [slices, *network.stepwise(slices, read_out.layer)]
    weight, bias = _centred(read_out.weight, read_out.bias, target)
    back = (weight * activations[-1].reshape(-1)).reshape(activations[-1].shape)
    logit = float(back.double().sum() + bias)
    for index in reversed(range(read_out.layer)):
        back = _back(network, index, activations[index], back)
    place = evidence.slices.pixels
    voxels = torch.zeros(evidence.voxels + 1, dtype=torch.float64)
    voxels.index_add_(0, place, back.reshape(-1).double())
    found = voxels[:-1].numpy()
    return Relevance(found, logit - float(found.sum()), logit)


def _back(network: DeepLight, index: int, x: Tensor, relevance_out: Tensor) -> Tensor:
    """Share the relevance of a convolution's outputs among its inputs."""
    convolution = network.convolution(index)
    rows, columns = network.overhang[index]
    padded = functional.pad(x, (0, columns, 0, rows)) if rows or columns else x
    z = convolution(padded)
    # Rectification lets through or stops; what it stops has no relevance already.
    share = relevance_out / (z + EPSILON * torch.where(z >= 0, 1.0, -1.0))
    spread = conv2d_input(
        padded.shape,
        convolution.weight,
        share,
        convolution.stride,
        cast("tuple[int, int]", convolution.padding),
    )
    found = padded * spread
    return found[..., : x.shape[-2], : x.shape[-1]]


def _centred(weight: Tensor, bias: Tensor, target: int) -> tuple[Tensor, Tensor]:
    return weight[target] - weight.mean(dim=0), bias[target] - bias.mean()
