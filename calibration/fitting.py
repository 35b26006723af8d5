"""From prepared, labelled volumes to a decoder and what it is worth."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from calibration.baselines import above_chance, fast_baselines, slow_baselines, zero_shot
from calibration.budget import Budget
from calibration.choose import Chosen, Nested, Preference
from calibration.compute import best_device
from calibration.dataset import REST, Labels, left_out
from calibration.evaluate import (
    Fold,
    accuracy,
    describe,
    folds,
    held_out,
    log_loss,
    metrics,
    permutation_test,
)
from calibration.features import RECURRENT, coarse_voxels, network_features
from calibration.heads import (
    VOXEL_SHARE,
    Candidate,
    Head,
    fit_lda,
    held_out_logits,
    prepare_sides,
    split_of,
)
from calibration.lag import DEFAULT_LAG_S, block_contrasts, choose_lag, held_out_rates
from calibration.networks import DeepLight
from calibration.progress import Progress
from calibration.read_outs import ReadOutPreference, ReadOuts, fit_read_out, fit_read_outs
from rtdecode.metrics import Compared, Metrics
from rtdecode.types import Bool, Float32, Float64

VOXELS = -1
"""Stands for the voxels themselves among the numbers of convolutions."""


@dataclass(frozen=True, slots=True)
class FittingSettings:
    """What a fit may vary."""

    preference: Preference = "best"
    baselines: Literal["fast", "all"] = "fast"
    haemodynamic_lag_s: float | None = None
    """None: chosen on held-out blocks."""
    permutations: int = 1000
    seed: int = 0
    read_out: ReadOutPreference = "best"
    """Whether the window or the filter decides."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Prepared volumes of one or several runs, and how they are labelled."""

    prepared: Float32
    """(n, V), as the decoder will be given them."""
    usable: Bool
    """(n,)"""
    motion: Float64
    """(n, 6), mm and rad."""
    label: Callable[[float], Labels]
    """From a haemodynamic lag to the labels of all volumes."""
    label_task: Callable[[float], Labels]
    """The same for task against rest."""
    mask: Bool
    """(X, Y, Z)"""
    grid_affine: Float64
    repetition_time_s: float
    notes: tuple[str, ...] = ()
    """What the report should say of these data."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A decoder's heads and read-outs, and its figures."""

    chosen: Chosen
    heads: Mapping[str, Head]
    """Of the chosen decoder's parts."""
    layers: Mapping[str, int]
    """What each part reads: after how many convolutions, `RECURRENT` or `VOXELS`."""
    read_outs: ReadOuts
    labels: Labels
    lag_reason: str
    metrics: Metrics
    learning: tuple[tuple[int, float, float], ...]
    """Training blocks of each class; share of held-out volumes decoded; its standard error."""


def fit_decoder(
    examples: Examples,
    network: DeepLight,
    layers: Sequence[int],
    states: Sequence[str],
    settings: FittingSettings,
    budget: Budget,
    progress: Progress,
) -> Fitted:
    """Choose, judge and fit a decoder.

    Parameters
    ----------
    examples
        Of the calibration.
    network
        Pretrained.
    layers
        After how many of its convolutions a head may read; the first is the default.
    states
        What its outputs stand for.
    settings
        See `FittingSettings`.
    budget
        Comparing and permuting stop when it is over.
    progress
        Told how far each step has come.

    Raises
    ------
    ConfigError
        The labels do not allow any block to be held out.
    """
    lag_s, lag_reason = _lag(examples, settings)
    every = examples.label(lag_s)
    labels = every.only_usable(examples.usable)
    folds(labels)  # refuses before anything slow is done

    # --- what may decode, and which does ----------------------------------------------------------
    features = network_features(
        network, examples.prepared, examples.mask, (*layers, RECURRENT), progress, best_device()
    )
    features[VOXELS] = examples.prepared
    name_of = {
        **{layer: f"convolution {layer}" for layer in layers},
        RECURRENT: "recurrent features",
        VOXELS: "voxels",
    }
    voxels = max(1, round(VOXEL_SHARE * examples.prepared.shape[1]))
    candidates = [
        Candidate(name, "linear", features[layer], partial(fit_lda, n_features=voxels), voxels)
        if layer == VOXELS
        else Candidate(name, "deep", features[layer], fit_lda)
        for layer, name in name_of.items()
    ]
    nested = Nested(candidates, labels, settings.preference, progress)
    chosen = nested.choose()
    evidence = nested.true_evidence()

    # --- what it is worth -------------------------------------------------------------------------
    read_outs = fit_read_outs(
        evidence, labels, examples.usable, examples.repetition_time_s, settings.read_out
    )
    worth = metrics(
        evidence,
        read_outs.chosen.log_probabilities,
        labels,
        examples.usable,
        read_outs.chosen.none_threshold,
        describe(labels, nested.folds) + ("" if nested.nested else "; choices by default"),
    )
    # Before anything is compared: the verdict hangs on it.
    test = permutation_test(
        nested.held_out,
        labels,
        settings.permutations,
        settings.seed,
        progress,
        cancelled=lambda: budget.over,
    )
    worth = replace(worth, p_value=test.p_value, permutations=test.permutations)
    comparison = list(_compare(nested, examples, labels, read_outs, features, network, states,
                               layers, settings, budget, progress))  # fmt: skip
    worth = replace(
        worth,
        comparison=tuple(comparison),
        read_outs=tuple(one.figures(labels) for one in read_outs.tried),
        notes=(
            *worth.notes,
            *examples.notes,
            *left_out(every, examples.usable),
            *read_outs.chosen.notes,
            *above_chance(comparison, worth.chance),
        ),
    )
    of = {candidate.name: candidate for candidate in candidates}
    return Fitted(
        chosen=chosen,
        heads={
            part: fit_lda(of[part].features, labels, of[part].n_features) for part in chosen.parts
        },
        layers={part: layer for layer, part in name_of.items() if part in chosen.parts},
        read_outs=read_outs,
        labels=labels,
        lag_reason=lag_reason,
        metrics=worth,
        learning=_learning(of[chosen.parts[0]], labels),
    )


def _lag(examples: Examples, settings: FittingSettings) -> tuple[float, str]:
    if settings.haemodynamic_lag_s is not None:
        return settings.haemodynamic_lag_s, "as asked for"
    coarse = coarse_voxels(examples.prepared, examples.mask, examples.grid_affine)
    rest_is_a_class = REST in examples.label(DEFAULT_LAG_S).classes
    return choose_lag(
        coarse,
        lambda lag_s: examples.label_task(lag_s).only_usable(examples.usable),
        block_contrasts if rest_is_a_class else held_out_rates,
    )


def _compare(
    nested: Nested,
    examples: Examples,
    labels: Labels,
    read_outs: ReadOuts,
    features: Mapping[int, Float32],
    network: DeepLight,
    states: Sequence[str],
    layers: Sequence[int],
    settings: FittingSettings,
    budget: Budget,
    progress: Progress,
) -> Iterator[Compared]:
    """Yield the candidates' figures, then the baselines', as long as the budget lasts."""

    def compared(name: str, kind: str, evidence: Float64) -> Compared:
        served = fit_read_out(
            read_outs.chosen.kind, evidence, labels, examples.usable, examples.repetition_time_s
        ).log_probabilities
        return Compared(name, kind, accuracy(evidence, served, labels), log_loss(served, labels))

    for name, evidence in nested.evidence().items():
        yield compared(name, nested.kinds[name], evidence)
    untrained = zero_shot(network, states, features[RECURRENT], labels)
    baselines = [] if untrained is None else [untrained]
    for baseline in (
        *baselines,
        *fast_baselines(examples.prepared, examples.mask, examples.grid_affine, examples.motion,
                        labels, settings.seed),
    ):  # fmt: skip
        if budget.over:
            return
        yield compared(baseline.name, baseline.kind, held_out(baseline, labels, nested.folds))
    if settings.baselines == "fast" or budget.over:
        return
    for slow in slow_baselines(network, examples.prepared, examples.mask, layers[0],
                               settings.seed, budget, best_device(), progress):  # fmt: skip
        if budget.over:
            return
        yield compared(slow.name, slow.kind, held_out(slow, labels, nested.folds))


def _learning(candidate: Candidate, labels: Labels) -> tuple[tuple[int, float, float], ...]:
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
