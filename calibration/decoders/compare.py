"""Compare a fitted decoder with other decoders on the same data and folds."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from calibration.budget import Budget
from calibration.compute import best_device
from calibration.data.labels import Labels
from calibration.decoders.baselines import above_chance, fast_baselines, slow_baselines
from calibration.decoders.evaluate import Fold, accuracy, folds, held_out, log_loss
from calibration.decoders.examples import Examples
from calibration.decoders.fit import FittedDecoder, FittingSettings
from calibration.decoders.fit_read_out import fit_read_out
from calibration.decoders.lda import Candidate, held_out_logits, split_of
from calibration.progress import Progress
from calibration.weights.pretrained import Pretrained
from rtdecode.metrics import Compared, Metrics
from rtdecode.types import Float64

Learning = tuple[tuple[int, float, float], ...]
"""Learning curve: training blocks of each class, share of held-out volumes decoded correctly, and
its standard error."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the report adds to the verdict."""

    metrics: Metrics
    """The decoder's metrics, with those of candidates, baselines and controls."""
    learning: Learning


def compare(
    fitted: FittedDecoder,
    examples: Examples,
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
    examples, settings
        The arguments of `fit_decoder`.
    pretrained
        The decoder's network.
    budget
        Baselines are left out when it is over.
    progress
        Called with the progress of each step.
    """
    rows = [
        _figures(fitted, examples, fitted.candidates[name], evidence)
        for name, evidence in fitted.evidence.items()
    ]
    if not any(fold.train.any() for fold in fitted.folds):
        # No block can be held out, so nothing is known of decoders without a prior.
        priors = tuple(row for row in rows if row.kind == "prior")
        return Comparison(replace(fitted.metrics, comparison=priors), ())
    for baseline in _baselines(fitted.labels, examples, pretrained, settings, budget, progress):
        evidence = held_out(baseline, fitted.labels, fitted.folds)
        rows.append(_figures(fitted, examples, baseline, evidence))
    progress("learning curve", 0, 1)
    learning = _learning_curve(fitted.candidates[fitted.chosen.parts[0]], fitted.labels)
    progress("learning curve", 1, 1)
    notes = (*fitted.metrics.notes, *above_chance(rows, fitted.metrics.chance))
    return Comparison(replace(fitted.metrics, comparison=tuple(rows), notes=notes), learning)


def _figures(
    fitted: FittedDecoder, examples: Examples, candidate: Candidate, evidence: Float64
) -> Compared:
    """Return a candidate's held-out figures, read out as the fitted decoder is."""
    labels = fitted.labels
    served = fit_read_out(
        fitted.read_outs.chosen.kind,
        evidence,
        labels,
        examples.usable,
        examples.repetition_time_s,
    ).log_probabilities
    figures = accuracy(evidence, served, labels)
    return Compared(candidate.name, candidate.kind, figures, log_loss(served, labels))


def _baselines(
    labels: Labels,
    examples: Examples,
    pretrained: Pretrained,
    settings: FittingSettings,
    budget: Budget,
    progress: Progress,
) -> Iterator[Candidate]:
    """Yield the fast baselines, then the slow ones if requested, until the budget is over."""
    for baseline in fast_baselines(
        examples.prepared,
        examples.mask,
        examples.grid_affine,
        examples.motion,
        labels,
        settings.seed,
    ):
        if budget.over:
            return
        yield baseline
        progress("baselines", 0, 1)
    progress("baselines", 1, 1)
    if settings.baselines == "fast" or budget.over:
        return
    for baseline in slow_baselines(
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
        yield baseline


def _learning_curve(candidate: Candidate, labels: Labels) -> Learning:
    """Return the held-out accuracy for each number of training blocks per class."""
    class_of = labels.block_labels()
    parts = folds(labels)
    train_blocks = [np.unique(labels.block[fold.train & labels.chosen]) for fold in parts]
    max_count = min(int(np.bincount(class_of[blocks]).min()) for blocks in train_blocks)
    splits = []
    for count in range(1, max_count + 1):
        for fold, blocks in zip(parts, train_blocks, strict=True):
            first = [
                n for c in range(labels.n_classes) for n in blocks[class_of[blocks] == c][:count]
            ]
            train = fold.train & (np.isin(labels.block, first) | labels.rest)
            splits.append(split_of(labels, Fold(fold.test & labels.chosen, train)))
    sides = candidate.sides(labels, splits)
    curve = []
    for count in range(1, max_count + 1):
        part = slice((count - 1) * len(parts), count * len(parts))
        logits = held_out_logits(sides[part], splits[part], class_of[None], labels)[0]
        rows = np.flatnonzero(labels.chosen)
        right = logits[rows].argmax(axis=1) == labels.label[rows]
        blocks, place = np.unique(labels.block[rows], return_inverse=True)
        rates = np.bincount(place, weights=right) / np.bincount(place)
        error = float(np.std(rates, ddof=1) / np.sqrt(len(blocks)))
        curve.append((count, float(np.mean(rates)), error))
    return tuple(curve)
