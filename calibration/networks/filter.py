"""The forward filter of a hidden Markov chain over single-volume evidence."""

import torch
from torch import Tensor


def switching(dwell_volumes: float, classes: int) -> float:
    """Return at what rate a chain forgets its state, per volume.

    The chain stays in a class for `dwell_volumes` in the mean (exponentially distributed) and then
    goes to any other class with equal probability. After n volumes it is in the class it began in
    with the probability 1 / K + (1 - 1 / K) exp(-rate n), and in each other one with
    (1 - exp(-rate n)) / K, which is the n-th power of its transition matrix.

    Parameters
    ----------
    dwell_volumes
        Expected dwell time over the repetition time, positive.
    classes
        How many classes there are, K, at least 2.
    """
    return classes / (classes - 1) / dwell_volumes


def filtered(
    belief: Tensor, newest: Tensor, usable: Tensor, elapsed: Tensor, rate: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the posterior (K,) after one more volume, and its logarithm.

    The forward algorithm (Rabiner 1989): time moves the posterior towards all classes alike, then
    the volume's likelihood multiplies it. With equal class priors a classifier's probabilities are
    proportional to the likelihood.

    Parameters
    ----------
    belief
        Log-posterior after the volume before, up to a constant, (K,); zeros at first.
    newest
        Log-probabilities of this volume, (K,).
    usable
        1 where it counts, else 0; ().
    elapsed
        Its index minus the index of the volume before, (), integer, at least 1.
    rate
        From `switching`, ().
    """
    kept = torch.exp(-rate * elapsed.to(belief.dtype))
    moved = kept * torch.softmax(belief, dim=0) + (1 - kept) / belief.shape[0]
    # A chain that all but never switches may round to no chance at all.
    moved = torch.log(moved.clamp(min=torch.finfo(belief.dtype).tiny))
    # A volume that does not count may hold anything, also not-a-number: it must not enter a sum.
    total = moved + torch.where(usable > 0, newest, torch.zeros_like(newest))
    return torch.softmax(total, dim=0), torch.log_softmax(total, dim=0)
