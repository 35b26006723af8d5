"""The sliding window over single-volume evidence."""

import torch
from torch import Tensor


def slide(
    evidence: Tensor, weight: Tensor, newest: Tensor, usable: Tensor, elapsed: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the window after one more volume, the newest last.

    Slots are volumes of the run, not volumes received: a gap takes its slots with weight 0, so the
    window always spans the same time. A gap as long as the window clears it.

    Parameters
    ----------
    evidence
        Log-probabilities of the last volumes, (L, K).
    weight
        How far each of them counts, (L,); 0 where there is no evidence.
    newest
        Log-probabilities of this volume, (K,).
    usable
        Its weight, (); 1 or 0.
    elapsed
        Its index minus the index of the volume before, (), integer, at least 1.
    """
    # A volume that does not count may hold anything, also not-a-number: it must not enter a sum.
    counted = torch.where(usable > 0, newest, torch.zeros_like(newest))
    return shift(evidence, counted, elapsed), shift(weight, usable, elapsed)


def shift(slots: Tensor, newest: Tensor, elapsed: Tensor) -> Tensor:
    """Return slots (L, ...) shifted in time; zeros for missing volumes, `newest` (...) last.

    Parameters
    ----------
    slots
        One for each of the last volumes of the run, the newest last.
    newest
        What the last slot is to hold.
    elapsed
        By how many slots to move, (), integer, at least 1.
    """
    length = slots.shape[0]
    source = torch.arange(length, device=slots.device) + elapsed.clamp(max=length)
    kept = (source < length).to(slots.dtype).reshape(-1, *(1 for _ in slots.shape[1:]))
    older = slots[source.clamp(max=length - 1)] * kept
    return torch.cat([older[:-1], newest.unsqueeze(0)])


def leak(
    total: Tensor, weight: Tensor, newest: Tensor, usable: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a leaky sum and its weight after one more volume.

    Parameters
    ----------
    total
        Sum of log-probabilities so far, (K,).
    weight
        Sum of their weights, ().
    newest, usable
        As for `slide`.
    kept
        What is left of the past, ().
    """
    counted = torch.where(usable > 0, newest, torch.zeros_like(newest))
    return kept * total + counted, kept * weight + usable


def average(evidence: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted sum (K,) of a window's log-probabilities (L, K)."""
    return (weight.unsqueeze(1) * evidence).sum(0)


def decide(total: Tensor, weight: Tensor) -> Tensor:
    """Return probabilities (K,): softmax of the weighted mean of log-probabilities.

    Averaging logarithms multiplies probabilities, as independent observations of one state would
    be combined. With no evidence the answer is uniform.

    Parameters
    ----------
    total
        Weighted sum of log-probabilities, (K,).
    weight
        Sum of the weights, ().
    """
    return torch.softmax(total / weight.clamp(min=torch.finfo(weight.dtype).eps), dim=0)
