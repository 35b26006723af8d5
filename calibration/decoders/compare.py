"""What other decoders make of the same data and folds, once the decoder itself is fitted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from calibration.budget import Budget
from calibration.compute import best_device
from calibration.data.labels import Labels
from calibration.decoders.baselines import above_chance, fast_baselines, slow_baselines, zero_shot
from calibration.decoders.evaluate import Fold, accuracy, folds, held_out, log_loss
from calibration.decoders.fit import Examples, Fitted, FittingSettings
from calibration.decoders.fit_read_out import fit_read_out
from calibration.decoders.lda import Candidate, held_out_logits, prepare_sides, split_of
from calibration.networks.features import RECURRENT
from calibration.progress import Progress
from calibration.weights.pretrained import Pretrained
from rtdecode.metrics import Compared, Metrics
from rtdecode.types import Float32, Float64

Learning = tuple[tuple[int, float, float], ...]
"""Training blocks of each class; share of held-out volumes decoded; its standard error."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the report adds to the verdict."""

    metrics: Metrics
    """With candidates, baselines and controls."""
    learning: Learning


def compare(
    fitted: Fitted,
    examples: Examples,
    features: Mapping[int, Float32],
    pretrained: Pretrained,
    settings: FittingSettings,
    budget: Budget,
    progress: Progress,
) -> Comparison:
    """Compare a fitted decoder with its candidates, with baselines and with controls.

    Parameters
    ----------
    fitted
        The decoder.
    examples, features, settings
        As it was fitted.
    pretrained
        Its network.
    budget
        Baselines are left out when it is over.
    progress
        Called with how far each step has come.
    """
    rows = tuple(_rows(fitted, examples, features, pretrained, settings, budget, progress))
    worth = fitted.metrics
    notes = (*worth.notes, *above_chance(rows, worth.chance))
    progress("learning curve", 0, 1)
    learning = _learning(fitted.candidates[fitted.chosen.parts[0]], fitted.labels)
    progress("learning curve", 1, 1)
    return Comparison(replace(worth, comparison=rows, notes=notes), learning)


def _rows(
    fitted: Fitted,
    examples: Examples,
    features: Mapping[int, Float32],
    pretrained: Pretrained,
    settings: FittingSettings,
    budget: Budget,
    progress: Progress,
) -> Iterator[Compared]:
    """Yield the candidates' figures, then the baselines', as long as the budget lasts."""
    labels = fitted.labels

    def compared(name: str, kind: str, evidence: Float64) -> Compared:
        served = fit_read_out(
            fitted.read_outs.chosen.kind,
            evidence,
            labels,
            examples.usable,
            examples.repetition_time_s,
        ).log_probabilities
        return Compared(name, kind, accuracy(evidence, served, labels), log_loss(served, labels))

    for name, evidence in fitted.evidence.items():
        yield compared(name, fitted.candidates[name].kind, evidence)
    for baseline in _baselines(examples, features, pretrained, labels, settings):
        if budget.over:
            return
        yield compared(baseline.name, baseline.kind, held_out(baseline, labels, fitted.folds))
        progress("baselines", 0, 1)
    progress("baselines", 1, 1)
    if settings.baselines == "fast" or budget.over:
        return
    for slow in slow_baselines(
        pretrained.network,
        examples.prepared,
        examples.mask,
        pretrained.layers[0],
        settings.seed,
        budget,
        best_device(),
        progress,
    ):
        if budget.over:
            return
        yield compared(slow.name, slow.kind, held_out(slow, labels, fitted.folds))


def _baselines(
    examples: Examples,
    features: Mapping[int, Float32],
    pretrained: Pretrained,
    labels: Labels,
    settings: FittingSettings,
) -> Iterator[Candidate]:
    """Yield what takes seconds: the untrained head where its states fit, baselines, controls."""
    untrained = zero_shot(pretrained.network, pretrained.states, features[RECURRENT], labels)
    if untrained is not None:
        yield untrained
    yield from fast_baselines(
        examples.prepared,
        examples.mask,
        examples.grid_affine,
        examples.motion,
        labels,
        settings.seed,
    )


def _learning(candidate: Candidate, labels: Labels) -> Learning:
    """Return how held-out accuracy grows with the blocks of each class that are trained on."""
    of = labels.block_labels()
    parts = folds(labels)
    shown = [np.unique(labels.block[fold.train & labels.chosen]) for fold in parts]
    most = min(int(np.bincount(of[blocks]).min()) for blocks in shown)
    splits = []
    for count in range(1, most + 1):
        for fold, blocks in zip(parts, shown, strict=True):
            first = [n for c in range(labels.n_classes) for n in blocks[of[blocks] == c][:count]]
            train = fold.train & (np.isin(labels.block, first) | labels.rest)
            splits.append(split_of(labels, Fold(fold.test & labels.chosen, train)))
    sides = prepare_sides(candidate.features, labels, splits, candidate.n_features)
    curve = []
    for count in range(1, most + 1):
        here = slice((count - 1) * len(parts), count * len(parts))
        logits = held_out_logits(sides[here], splits[here], of[None], labels)[0]
        rows = np.flatnonzero(labels.chosen)
        right = logits[rows].argmax(axis=1) == labels.label[rows]
        blocks, place = np.unique(labels.block[rows], return_inverse=True)
        rates = np.bincount(place, weights=right) / np.bincount(place)
        error = float(np.std(rates, ddof=1) / np.sqrt(len(blocks)))
        curve.append((count, float(np.mean(rates)), error))
    return tuple(curve)
