"""The sliding window over single-volume evidence."""

import torch
from torch import Tensor


def slide(
    evidence: Tensor, weight: Tensor, newest: Tensor, usable: Tensor, elapsed: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the window after the next volume, the newest last.

    Each slot is a volume of the run. Missing volumes have slots with weight 0, so that the window
    always spans the same time. A gap as long as the window clears it.

    Parameters
    ----------
    evidence
        Log-probabilities of the last volumes, (L, K).
    weight
        Weight of each of them, (L,); 0 without evidence.
    newest
        Log-probabilities of this volume, (K,).
    usable
        Weight of this volume, (); 1 or 0.
    elapsed
        Difference of its index and the previous volume's, (), integer, at least 1.
    """
    # An unusable volume may contain NaN, so that it must not enter a sum.
    evidence_or_zero = torch.where(usable > 0, newest, torch.zeros_like(newest))
    return shift(evidence, evidence_or_zero, elapsed), shift(weight, usable, elapsed)


def shift(slots: Tensor, newest: Tensor, elapsed: Tensor) -> Tensor:
    """Return slots (L, ...) shifted in time; zeros for missing volumes, `newest` (...) last.

    Parameters
    ----------
    slots
        Values of the last volumes of the run, the newest last.
    newest
        Value of the last slot.
    elapsed
        Number of slots to shift by, (), integer, at least 1.
    """
    length = slots.shape[0]
    source = torch.arange(length, device=slots.device) + elapsed.clamp(max=length)
    present = (source < length).to(slots.dtype).reshape(-1, *(1 for _ in slots.shape[1:]))
    older = slots[source.clamp(max=length - 1)] * present
    return torch.cat([older[:-1], newest.unsqueeze(0)])


def leak(
    total: Tensor, weight: Tensor, newest: Tensor, usable: Tensor, retention: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a leaky sum and its weight after the next volume.

    Parameters
    ----------
    total
        Previous sum of log-probabilities, (K,).
    weight
        Previous sum of their weights, ().
    newest, usable
        As for `slide`.
    retention
        Factor on the previous sums, ().
    """
    evidence_or_zero = torch.where(usable > 0, newest, torch.zeros_like(newest))
    return retention * total + evidence_or_zero, retention * weight + usable


def average(evidence: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted sum (K,) of a window's log-probabilities (L, K)."""
    return (weight.unsqueeze(1) * evidence).sum(0)


def decide(total: Tensor, weight: Tensor) -> Tensor:
    """Return probabilities (K,): softmax of the weighted mean of log-probabilities.

    The mean of logarithms multiplies probabilities, as for independent observations of one state.
    Without evidence the result is uniform.

    Parameters
    ----------
    total
        Weighted sum of log-probabilities, (K,).
    weight
        Sum of the weights, ().
    """
    return torch.softmax(total / weight.clamp(min=torch.finfo(weight.dtype).eps), dim=0)
