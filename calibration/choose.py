"""Which decoder suits this person: lag, layer, deep or linear or both, by one rule.

Every choice is made on held-out blocks of the data at hand. To know how good the whole procedure
is, it is repeated inside each outer fold on the training side alone (nested cross-validation,
Varma & Simon 2006), so that no block is ever decoded by a decoder that it had a say in choosing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.dataset import Labels
from calibration.evaluate import Fold, folds
from calibration.heads import Candidate, PermutableLda, log_softmax
from calibration.progress import Progress, silent
from calibration.temperature import loss_per_block, temperature_of
from rtdecode.errors import ConfigError
from rtdecode.types import Float32, Float64

Preference = Literal["best", "deep", "linear", "stack"]

LAGS_S = (3.0, 4.0, 5.0, 6.0, 7.0)
DEFAULT_LAG_S = 5.0
SHARES = (0.25, 0.5, 0.75)
"""Of the deep decoder in a stack."""
STACK = "deep and linear together"
LEAST_BLOCKS = 2
"""Of each class, to hold one out."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A decoder that the rule preferred: one candidate, or two with weights."""

    name: str
    parts: tuple[str, ...]
    """Names of the candidates whose log-probabilities it sums."""
    weights: tuple[float, ...]
    """What each one's are multiplied by: its share over its temperature. A candidate alone is
    cooled too: folds that choose differently must speak at one scale, the compiled decoder's."""
    reason: str

    def combine(self, evidence: Mapping[str, Float64]) -> Float64:
        """Return its log-probabilities, (n, K), from those of its parts."""
        pairs = zip(self.parts, self.weights, strict=True)
        return log_softmax(sum((w * evidence[part] for part, w in pairs), start=np.zeros(())))


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One outer fold: its training side's own folds, with what does not depend on the classes."""

    fold: Fold
    inner: Mapping[str, PermutableLda] | None
    """None: too few blocks to hold any out, so that the default is taken."""


class Nested:
    """The whole choice, cross-validated: built once, run again for every permutation of labels.

    Parameters
    ----------
    candidates
        The first is the default; each is fitted by shrinkage LDA.
    labels
        Of all volumes.
    preference
        Which of them may be chosen.
    progress
        Told how far the preparation has come.

    Raises
    ------
    ConfigError
        There are too few blocks to hold any out, or no candidate of the kind preferred.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        labels: Labels,
        preference: Preference = "best",
        progress: Progress = silent,
    ) -> None:
        self.kinds = {candidate.name: candidate.kind for candidate in candidates}
        self._preference: Preference = preference
        if preference in {"deep", "linear"} and preference not in self.kinds.values():
            raise ConfigError(f"--decoder {preference}: there is no such candidate for these data")
        self.folds = folds(labels)
        steps, done = len(candidates) * (1 + len(self.folds)), 0

        def build(
            rows: Labels, of: Sequence[Float32], within: tuple[Fold, ...]
        ) -> dict[str, PermutableLda]:
            nonlocal done
            built = {}
            for candidate, features in zip(candidates, of, strict=True):
                built[candidate.name] = PermutableLda(features, rows, within, candidate.n_features)
                done += 1
                progress("prepare cross-validation", done, steps)
            return built

        everything = [candidate.features for candidate in candidates]
        self._outer = build(labels, everything, self.folds)
        self._sides: list[_Side] = []
        for fold in self.folds:
            rows = labels.take(fold.train)
            if _blocks_of_rarest(rows) < LEAST_BLOCKS:
                self._sides.append(_Side(fold, None))
                done += len(candidates)
                continue
            train = [features[fold.train] for features in everything]
            self._sides.append(_Side(fold, build(rows, train, folds(rows))))
        progress("prepare cross-validation", steps, steps)

    @property
    def nested(self) -> bool:
        """Whether the choice itself could be cross-validated."""
        return all(side.inner is not None for side in self._sides)

    def held_out(self, labels: Labels) -> Float64:
        """Return the procedure's held-out log-probabilities, (volumes, K), for relabelled blocks.

        Parameters
        ----------
        labels
            Those given first, or the same with other classes for the blocks.
        """
        evidence = self.evidence(labels)
        result = np.full((len(labels.label), labels.n_classes), np.nan)
        for side in self._sides:
            rows = labels.take(side.fold.train)
            inner = None
            if side.inner is not None:
                inner = {name: fit.held_out(rows) for name, fit in side.inner.items()}
            outer = {n: e[side.fold.train] for n, e in evidence.items()}
            chosen = self._choose(inner, outer, rows)
            test = side.fold.test
            result[test] = chosen.combine({n: e[test] for n, e in evidence.items()})
        return result

    def evidence(self, labels: Labels) -> dict[str, Float64]:
        """Return each candidate's held-out log-probabilities, (volumes, K)."""
        return {name: fit.held_out(labels) for name, fit in self._outer.items()}

    def choose(self, labels: Labels) -> Chosen:
        """Return what the rule prefers, all blocks considered.

        Where the choice itself could not be cross-validated, that is the default: the figures are
        then those of what is compiled.
        """
        evidence = self.evidence(labels)
        return self._choose(evidence if self.nested else None, evidence, labels)

    def _choose(
        self,
        evidence: Mapping[str, Float64] | None,
        outer: Mapping[str, Float64],
        labels: Labels,
    ) -> Chosen:
        """Apply the rule to the evidence of inner folds, where there is any.

        Without, `outer` (of the same rows) still says how overconfident each part is, which is one
        number; the shares of a stack are then equal.
        """
        allowed = [
            name
            for name, kind in self.kinds.items()
            if kind == self._preference or self._preference in {"best", "stack"}
        ]
        if self._preference == "stack":
            if evidence is None:
                return self._stack(outer, labels, parts=self._defaults(), shares=(0.5,))
            return self._stack(evidence, labels, parts=self._best(evidence, labels))
        if evidence is None:
            return _single(allowed[0], outer, labels, "too few blocks to choose by: the default")
        name, reason = _prefer(allowed, evidence, labels)
        best = _single(name, evidence, labels, reason)
        if self._preference != "best" or len(set(self.kinds.values())) == 1:
            return best
        stack = self._stack(evidence, labels, parts=self._best(evidence, labels))
        with_stack = {**evidence, STACK: stack.combine(evidence)}
        gain, error = _gain(with_stack[STACK], with_stack[best.name], labels)
        return stack if gain > error else best

    def _defaults(self) -> tuple[str, ...]:
        """Return the first candidate of each kind."""
        return tuple(self._of_kind(kind)[0] for kind in ("deep", "linear"))

    def _best(self, evidence: Mapping[str, Float64], labels: Labels) -> tuple[str, ...]:
        """Return the candidate of each kind that the rule prefers."""
        return tuple(
            _prefer(self._of_kind(kind), evidence, labels)[0] for kind in ("deep", "linear")
        )

    def _of_kind(self, kind: str) -> list[str]:
        return [name for name, each in self.kinds.items() if each == kind]

    def _stack(
        self,
        evidence: Mapping[str, Float64],
        labels: Labels,
        parts: tuple[str, ...],
        shares: Sequence[float] = SHARES,
    ) -> Chosen:
        cooled = [temperature_of(evidence[part], labels) for part in parts]
        best = min(
            (
                Chosen(STACK, parts, (share / cooled[0], (1 - share) / cooled[1]), "")
                for share in shares
            ),
            key=lambda chosen: loss_per_block(chosen.combine(evidence), labels).mean(),
        )
        share = best.weights[0] * cooled[0]
        how = "weighed on held-out blocks" if len(shares) > 1 else "too few blocks to weigh them by"
        reason = f"{parts[0]} ({share:.0%}) and {parts[1]}, {how}"
        return Chosen(STACK, best.parts, best.weights, reason)


RULE = (
    "the default (first) candidate, unless another decodes more volumes of held-out blocks by more "
    "than one standard error of the paired difference over blocks; then the best of those"
)


def choose_lag(
    evidence_at: Callable[[Labels], Float64], labels_at: Callable[[float], Labels]
) -> tuple[float, str]:
    """Choose the haemodynamic lag by how well task is told from rest in held-out blocks.

    It does not ask which class a block has, so it need not be repeated for permuted labels.

    Parameters
    ----------
    evidence_at
        From task-against-rest labels to held-out log-probabilities (n, 2).
    labels_at
        From a lag in seconds to such labels.

    Returns
    -------
    lag_s : float
    reason : str
    """
    right: dict[float, Float64] = {}
    for lag_s in LAGS_S:
        try:
            labels = labels_at(lag_s)
            right[lag_s] = _right_per_block(evidence_at(labels), labels)
        except ConfigError:
            continue
    if DEFAULT_LAG_S not in right:
        return DEFAULT_LAG_S, "no rest to tell the task from: the default"
    default = right[DEFAULT_LAG_S]
    best_s, reason = DEFAULT_LAG_S, "no other lag told task from rest better by a standard error"
    for lag_s, accuracy in right.items():
        if len(accuracy) != len(default):
            continue
        difference = accuracy - default
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        if difference.mean() > error and accuracy.mean() > right[best_s].mean():
            best_s, reason = lag_s, "told task from rest best in held-out blocks"
    return best_s, reason


def _prefer(
    names: Sequence[str], evidence: Mapping[str, Float64], labels: Labels
) -> tuple[str, str]:
    """Apply the rule to single candidates: which, and why."""
    default = names[0]
    gains = {
        name: _gain(evidence[name], evidence[default], labels) for name in names if name != default
    }
    better = {name: gain for name, (gain, error) in gains.items() if gain > error}
    if not better:
        return default, "no other was better by a standard error"
    best = max(better, key=lambda name: better[name])
    return best, f"decodes {better[best]:.0%} more volumes of held-out blocks than {default}"


def _single(name: str, evidence: Mapping[str, Float64], labels: Labels, reason: str) -> Chosen:
    return Chosen(name, (name,), (1 / temperature_of(evidence[name], labels),), reason)


def _gain(ours: Float64, theirs: Float64, labels: Labels) -> tuple[float, float]:
    """Return how many more of a block's volumes we decode, and the standard error over blocks."""
    difference = _right_per_block(ours, labels) - _right_per_block(theirs, labels)
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def _right_per_block(evidence: Float64, labels: Labels) -> Float64:
    """Return the share of each block's volumes that are decoded right, (blocks,)."""
    rows = np.flatnonzero(labels.chosen)
    right = evidence[rows].argmax(axis=1) == labels.label[rows]
    blocks, place = np.unique(labels.block[rows], return_inverse=True)
    return np.bincount(place, weights=right, minlength=len(blocks)) / np.bincount(place)


def _blocks_of_rarest(labels: Labels) -> int:
    present = np.unique(labels.block[labels.chosen])
    return int(np.bincount(labels.block_labels()[present], minlength=labels.n_classes).min())
