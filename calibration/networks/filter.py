"""The forward filter of a hidden Markov chain over single-volume evidence."""

import torch
from torch import Tensor


def switching_rate(dwell_volumes: float, classes: int) -> float:
    """Return the rate per volume at which a chain forgets its state.

    The mean dwell time in a class is `dwell_volumes` (exponentially distributed); then the chain
    changes to any other class with equal probability. After n volumes it is in its first class with
    probability 1 / K + (1 - 1 / K) exp(-rate n), and in each other class with probability
    (1 - exp(-rate n)) / K. These are the entries of the n-th power of its transition matrix.

    Parameters
    ----------
    dwell_volumes
        Expected dwell time divided by the repetition time, positive.
    classes
        Number of classes K, at least 2.
    """
    return classes / (classes - 1) / dwell_volumes


def filter_step(
    belief: Tensor, newest: Tensor, usable: Tensor, elapsed: Tensor, rate: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the posterior (K,) after the next volume, and its logarithm.

    This is the forward algorithm (Rabiner 1989): time moves the posterior towards equal
    probabilities, then the volume's likelihood multiplies it. With equal class priors
    a classifier's probabilities are proportional to the likelihood.

    Parameters
    ----------
    belief
        Log-posterior after the previous volume, up to a constant, (K,); initially zero.
    newest
        Log-probabilities of this volume, (K,).
    usable
        1 if this volume is usable, else 0; ().
    elapsed
        Difference of its index and the previous volume's, (), integer, at least 1.
    rate
        From `switching_rate`, ().
    """
    retention = torch.exp(-rate * elapsed.to(belief.dtype))
    prior = retention * torch.softmax(belief, dim=0) + (1 - retention) / belief.shape[0]
    # The probability of a change may be rounded to zero if changes are very rare.
    log_prior = torch.log(prior.clamp(min=torch.finfo(belief.dtype).tiny))
    # An unusable volume may contain NaN, so that it must not enter a sum.
    total = log_prior + torch.where(usable > 0, newest, torch.zeros_like(newest))
    return torch.softmax(total, dim=0), torch.log_softmax(total, dim=0)
