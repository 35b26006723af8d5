"""The rule that chooses between candidates, for many assignments of classes at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.decoder_choice import Preference
from calibration.decoders.discriminant import Arrangements
from calibration.decoders.prior import PoolRule
from rtdecode.types import Float64

SHARES = (0.5, 0.25, 0.75)
"""Shares of the deep decoder in a stack, the default first."""
RULE = (
    "the default (first) candidate, unless another decodes more volumes of held-out blocks by more "
    "than one standard error of the paired difference over blocks; then the best of those. With "
    "priors: the pool of the priors and the own decoder that this rule chooses, unless that own "
    "decoder is better than the pool by more than one standard error"
)


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceRule:
    """The rule, for the candidates of one person."""

    kinds: Mapping[str, str]
    """The kind of each candidate by its name; the first of each kind is the default."""
    own: Sequence[int]
    """Numbers of the candidates without a prior."""
    priors: Sequence[int]
    """Numbers of the candidates with a prior."""
    labels: Labels
    preference: Preference
    pool: PoolRule
    """How own data and priors are weighed."""

    @property
    def names(self) -> list[str]:
        """The names of the candidates, in their order."""
        return list(self.kinds)

    def shares(
        self,
        evidence: Float64,
        rows: NDArray[np.int64],
        arrangements: Arrangements,
        *,
        by_default: bool,
    ) -> Float64:
        """Apply the rule: return the share of each candidate, (P, C).

        Parameters
        ----------
        evidence
            (C, P, n, K)
        rows
            Rows of the examples that decide.
        arrangements
            (P, blocks)
        by_default
            Take the default without regard to the evidence.
        """
        own = self._choose_own(evidence, rows, arrangements, by_default=by_default)
        if not self.priors or self.preference not in {"best", "pool"}:
            return own
        blocks = np.unique(self.labels.block[rows])
        share = self.pool.own_share(len(blocks) / self.labels.n_classes)
        pool = share * own
        pool[:, self.priors] = (1 - share) / len(self.priors)
        if by_default or self.preference == "pool":
            return pool
        both = np.stack(
            [np.einsum("pc,cpnk->pnk", shares, evidence[:, :, rows]) for shares in (own, pool)]
        )
        rates = self.rates(both, np.arange(len(rows)), arrangements, rows)
        gain, error = _gain(rates[0], rates[1])
        return np.where((gain > error)[:, None], own, pool)

    def _choose_own(
        self,
        evidence: Float64,
        rows: NDArray[np.int64],
        arrangements: Arrangements,
        *,
        by_default: bool,
    ) -> Float64:
        """Apply the rule to the candidates without a prior; see `shares`."""
        trials = np.arange(len(arrangements))
        single = np.zeros((len(trials), len(self.names)))
        allowed = self.allowed()
        rates = self.rates(evidence, rows, arrangements)
        best = np.full(len(trials), allowed[0])
        if not by_default:
            best = np.array(allowed)[_preferred(rates[allowed])]
        single[trials, best] = 1.0
        own_kinds = {self.kinds[self.names[c]] for c in self.own}
        if self.preference in {"deep", "linear"} or len(own_kinds) == 1:
            return single
        if by_default and not (self.preference == "stack" or self.priors):
            return single
        pair = []
        for kind in ("deep", "linear"):
            members = self._of_kind(kind)
            place = np.zeros(len(trials), int) if by_default else _preferred(rates[members])
            pair.append(np.array(members)[place])
        parts = [evidence[c, trials][:, rows] for c in pair]
        shares = SHARES[:1] if by_default else SHARES
        stacked = np.stack([share * parts[0] + (1 - share) * parts[1] for share in shares])
        stack_rates = self.rates(stacked, np.arange(len(rows)), arrangements, rows)
        best_share = stack_rates.mean(axis=2).argmax(axis=0)
        share = np.array(shares)[best_share]
        stack = np.zeros_like(single)
        stack[trials, pair[0]] = share
        stack[trials, pair[1]] = 1 - share
        if self.preference == "stack" or by_default:
            return stack
        gain, error = _gain(stack_rates[best_share, trials], rates[best, trials])
        return np.where((gain > error)[:, None], stack, single)

    def rates(
        self,
        evidence: Float64,
        places: NDArray[np.int64],
        arrangements: Arrangements,
        rows: NDArray[np.int64] | None = None,
    ) -> Float64:
        """Return the share of each block's volumes that are decoded correctly, (C, P, blocks).

        Parameters
        ----------
        evidence
            (C, P, m, K)
        places
            Positions of the volumes among the m.
        arrangements
            (P, blocks)
        rows
            Row numbers of these volumes, if they differ from `places`.
        """
        block = self.labels.block[places if rows is None else rows]
        right = evidence[:, :, places].argmax(axis=3) == arrangements[:, block]
        numbers, place = np.unique(block, return_inverse=True)
        mean = np.zeros((len(block), len(numbers)))
        mean[np.arange(len(block)), place] = 1 / np.bincount(place)[place]
        rates: Float64 = right @ mean
        return rates

    def reason(self, evidence: Float64, rows: NDArray[np.int64], c: int, *, nested: bool) -> str:
        """Return the reason for the choice of one candidate without a prior, for the true classes.

        Parameters
        ----------
        evidence
            (C, 1, n, K) of the true classes.
        rows
            Rows of the examples that decide.
        c
            Number of the candidate.
        nested
            Whether the choice was cross-validated.
        """
        allowed = self.allowed()
        if not nested:
            return "too few blocks to choose by: the default"
        if c == allowed[0]:
            return "no other was better by a standard error"
        rates = self.rates(evidence, rows, self.labels.block_labels()[None])
        gain, _ = _gain(rates[c], rates[allowed[0]])
        default = self.names[allowed[0]]
        return f"decodes {gain[0]:.0%} more volumes of held-out blocks than {default}"

    def allowed(self) -> list[int]:
        """Return the candidates without a prior that may be chosen alone."""
        if self.preference in {"deep", "linear"}:
            return self._of_kind(self.preference)
        return list(self.own)

    def _of_kind(self, kind: str) -> list[int]:
        return [c for c, name in enumerate(self.names) if self.kinds[name] == kind]


def _preferred(rates: Float64) -> NDArray[np.int64]:
    """Apply the rule to single candidates, the default first: (C, P, blocks) to (P,)."""
    gain, error = _gain(rates, rates[:1])
    better = np.where(gain > error, gain, -np.inf)
    return np.where((gain > error).any(axis=0), better.argmax(axis=0), 0)


def _gain(rates_a: Float64, rates_b: Float64) -> tuple[Float64, Float64]:
    """Return the mean difference of two decoders' rates, and its standard error over blocks."""
    difference = rates_a - rates_b
    error = difference.std(axis=-1, ddof=1) / np.sqrt(difference.shape[-1])
    return difference.mean(axis=-1), error
