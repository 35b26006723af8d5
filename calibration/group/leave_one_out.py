"""Decode each person with the study of the others, and fit the rule of the pool on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from calibration.decoders.head import log_softmax
from calibration.decoders.prior import ClassMeans, PoolRule
from calibration.decoders.temperature import TEMPERATURES
from calibration.group.learning import Curves, learning_curves, split_person
from calibration.group.selection_cache import SelectedData
from calibration.weights.study import LeftOutPerson

RULES = tuple(
    PoolRule(pseudo_blocks, blocks_of_prior)
    for pseudo_blocks, blocks_of_prior in product(
        (1.0, 2.0, 4.0, 8.0, 16.0), (5.0, 2.0, 1.0, 10.0, 20.0)
    )
)
"""Rules that are tried; with equal results the first is preferred."""


@dataclass(frozen=True, slots=True, eq=False)
class PersonCurves:
    """The logits of one person's tested volumes, with the study of the others."""

    truth: NDArray[np.int64]
    """(m,) the classes of the tested volumes."""
    logits: Curves

    def share(self, rule: PoolRule, n_blocks: int, decoder: str) -> float:
        """Return the share of tested volumes that are decoded correctly."""
        decided = self.logits[rule][n_blocks][decoder].argmax(axis=1)
        return float((decided == self.truth).mean())


def decode_left_out(data: SelectedData, priors: dict[int, ClassMeans]) -> PersonCurves:
    """Decode a person with priors from the others, for every rule and number of own blocks."""
    split = split_person(data.labels)
    curves = learning_curves(priors, data.features, data.own, split, RULES)
    return PersonCurves(data.labels.label[split.test], curves)


def fit_rule(people: Sequence[PersonCurves]) -> PoolRule:
    """Return the rule with which the pool decodes the largest share of volumes.

    The share is averaged over numbers of own blocks, and then over people. Without own blocks all
    rules are equal.
    """
    shares = []
    for rule in RULES:
        per_person = [
            np.mean([one.share(rule, n, "pool") for n in one.logits[rule] if n])
            for one in people
            if any(one.logits[rule])
        ]
        shares.append(round(float(np.mean(per_person)), 9) if per_person else 0.0)
    return RULES[int(np.argmax(shares))]


def leave_one_out(
    names: Sequence[str], people: Sequence[PersonCurves]
) -> tuple[LeftOutPerson, ...]:
    """Return the held-out performance for each person; the rule is fitted on the others too."""
    found: list[LeftOutPerson] = []
    if not people:
        return ()
    for n, (name, one) in enumerate(zip(names, people, strict=True)):
        rule = fit_rule([*people[:n], *people[n + 1 :]])
        shares = {
            n_blocks: {decoder: one.share(rule, n_blocks, decoder) for decoder in by_decoder}
            for n_blocks, by_decoder in one.logits[rule].items()
        }
        found.append(LeftOutPerson(name, len(one.truth), shares))
    return tuple(found)


def fit_temperature(people: Sequence[PersonCurves], rule: PoolRule) -> float:
    """Return the temperature with the least log-loss without own blocks, averaged over people."""
    if not people:
        return 1.0
    losses = []
    for temperature in TEMPERATURES:
        per_person = [
            -log_softmax(one.logits[rule][0]["pool"] / temperature)[
                np.arange(len(one.truth)), one.truth
            ].mean()
            for one in people
        ]
        losses.append(round(float(np.mean(per_person)), 9))
    return float(TEMPERATURES[int(np.argmin(losses))])
