"""Choose the decoder for this person by one rule: layer, and deep, linear or both.

Every choice is made on held-out blocks. To evaluate the whole procedure, the choice is repeated
inside each outer fold on the training side only (nested cross-validation, Varma & Simon 2006).
Therefore no block is decoded by a decoder that was chosen with that block.

All computations are done for many assignments of classes to blocks at once: the true one and those
of the permutation test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.choice_rule import ChoiceRule
from calibration.decoders.decoder_choice import POOL, STACK, DecoderChoice, Preference
from calibration.decoders.discriminant import Arrangements, Side, Split
from calibration.decoders.evaluate import folds, inner_splits
from calibration.decoders.head import log_softmax
from calibration.decoders.lda import Candidate, held_out_logits, split_of
from calibration.decoders.prior import PoolRule
from calibration.progress import Progress, silent
from rtdecode.errors import ConfigError
from rtdecode.types import Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Folds:
    """Folds of some rows, with the prepared discriminants of each candidate."""

    rows: NDArray[np.int64]
    """Row numbers of the examples that the folds decode."""
    splits: tuple[Split, ...]
    sides: Mapping[str, tuple[Side, ...]]


class NestedCrossValidation:
    """Nested cross-validation of the choice: built once, run for every assignment of classes.

    Parameters
    ----------
    candidates
        The first of each kind is the default; each is a shrinkage discriminant.
    labels
        Labels of all volumes.
    preference
        The candidates that may be chosen.
    progress
        Called with the progress of the preparation.
    rule
        How own data and priors are weighed.

    Raises
    ------
    ConfigError
        There are too few blocks to hold any out, or no candidate of the preferred kind.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        labels: Labels,
        preference: Preference = "best",
        progress: Progress = silent,
        rule: PoolRule | None = None,
    ) -> None:
        self.kinds = {candidate.name: candidate.kind for candidate in candidates}
        self._names = list(self.kinds)
        self._priors = [c for c, one in enumerate(candidates) if one.prior is not None]
        self._own = [c for c, one in enumerate(candidates) if one.prior is None]
        self._labels = labels
        self._truth = labels.block_labels()[None]
        self._rule = ChoiceRule(
            self.kinds, self._own, self._priors, labels, preference, rule or PoolRule()
        )
        if preference in {"deep", "linear"} and preference not in self.kinds.values():
            raise ConfigError(f"--decoder {preference}: there is no such candidate for these data")
        if preference == "pool" and not self._priors:
            raise ConfigError(
                "--decoder pool: there is no prior: give --states, --prior or a study"
            )
        self.folds = folds(labels, with_prior=bool(self._priors))
        inner = [inner_splits(labels, fold) for fold in self.folds]
        outer = tuple(split_of(labels, fold) for fold in self.folds)
        groups = [outer, *(splits for splits in inner if splits)]
        prepared: list[dict[str, tuple[Side, ...]]] = [{} for _ in groups]
        for done, candidate in enumerate(candidates):
            progress("prepare cross-validation", done, len(candidates))
            every = [split for splits in groups for split in splits]
            sides = candidate.sides(labels, every)
            first = 0
            for splits, of in zip(groups, prepared, strict=True):
                of[candidate.name] = sides[first : first + len(splits)]
                first += len(splits)
        progress("prepare cross-validation", len(candidates), len(candidates))
        examples = np.flatnonzero(labels.chosen)
        self._outer = _Folds(examples, outer, prepared[0])
        later = iter(prepared[1:])
        self._inner = [
            _Folds(examples[fold.train[examples]], splits, next(later)) if splits else None
            for fold, splits in zip(self.folds, inner, strict=True)
        ]

    @property
    def nested(self) -> bool:
        """Whether the choice itself could be cross-validated."""
        return all(part is not None for part in self._inner)

    def held_out(self, arrangements: Arrangements) -> Float64:
        """Return the held-out evidence of the whole procedure.

        Parameters
        ----------
        arrangements
            The class of each block in each assignment, (P, blocks).

        Returns
        -------
        (P, n, K) logits, centred over classes
        """
        evidence = self._evidence(self._outer, arrangements)
        result = np.full(evidence.shape[1:], np.nan)
        for fold, inner in zip(self.folds, self._inner, strict=True):
            rows = self._outer.rows[fold.train[self._outer.rows]]
            known = evidence if inner is None else self._evidence(inner, arrangements)
            shares = self._rule.shares(known, rows, arrangements, by_default=inner is None)
            result[:, fold.test] = np.einsum("pc,cpnk->pnk", shares, evidence[:, :, fold.test])
        return result

    def true_evidence(self) -> Float64:
        """Return the log-probabilities of the whole procedure for the true classes, (n, K)."""
        return log_softmax(self.held_out(self._truth)[0])

    def evidence(self) -> dict[str, Float64]:
        """Return each candidate's held-out log-probabilities for the true classes, (n, K)."""
        found = self._evidence(self._outer, self._truth)
        return {name: log_softmax(found[c, 0]) for c, name in enumerate(self._names)}

    def choose(self) -> DecoderChoice:
        """Return the decoder that the rule chooses for the true classes on all blocks.

        It is the default if the choice could not be cross-validated, so that the figures are those
        of the compiled decoder.
        """
        evidence, rows = self._evidence(self._outer, self._truth), self._outer.rows
        shares = self._rule.shares(evidence, rows, self._truth, by_default=not self.nested)[0]
        parts = tuple(int(c) for c in np.flatnonzero(shares))
        names = tuple(self._names[c] for c in parts)
        if set(parts) & set(self._priors):
            return self._pool_choice(shares, parts)
        if len(parts) == 1:
            reason = self._rule.reason(evidence, rows, parts[0], nested=self.nested)
            return DecoderChoice(names[0], names, (1.0,), reason)
        # The deep part comes first.
        parts = tuple(sorted(parts, key=lambda c: self.kinds[self._names[c]] != "deep"))
        names = tuple(self._names[c] for c in parts)
        how = "weighed on held-out blocks" if self.nested else "too few blocks to weigh them by"
        reason = f"{names[0]} ({shares[parts[0]]:.0%}) and {names[1]}, {how}"
        return DecoderChoice(
            STACK, names, (float(shares[parts[0]]), float(shares[parts[1]])), reason
        )

    def _pool_choice(self, shares: Float64, parts: tuple[int, ...]) -> DecoderChoice:
        names = [self._names[c] for c in parts]
        own = sum(shares[c] for c in parts if c in self._own)
        what = "no own decoder was better by a standard error" if self.nested else "the default"
        reason = f"{' and '.join(names)}; own data have {own:.0%} of the weight; {what}"
        return DecoderChoice(POOL, tuple(names), tuple(float(shares[c]) for c in parts), reason)

    def _evidence(self, part: _Folds, arrangements: Arrangements) -> Float64:
        """Return each candidate's held-out logits, (C, P, n, K)."""
        return np.stack(
            [
                held_out_logits(part.sides[name], part.splits, arrangements, self._labels)
                for name in self._names
            ]
        )
