"""From prepared, labelled volumes to a decoder and the verdict on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from calibration.budget import Budget
from calibration.data.labels import REST, Labels, left_out
from calibration.decoders.choose import Chosen, Nested, Preference
from calibration.decoders.evaluate import Fold, describe, metrics, permutation_test
from calibration.decoders.fit_read_out import ReadOutPreference, ReadOuts, fit_read_outs
from calibration.decoders.lag import DEFAULT_LAG_S, block_contrasts, choose_lag, held_out_rates
from calibration.decoders.lda import VOXEL_SHARE, Candidate, Head, fit_lda
from calibration.networks.features import RECURRENT, coarse_voxels
from calibration.progress import Progress
from rtdecode.metrics import Metrics
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
    """Without the comparison with other decoders (`calibration.decoders.compare`)."""
    candidates: Mapping[str, Candidate]
    """All that were tried."""
    evidence: Mapping[str, Float64]
    """Each candidate's held-out log-probabilities, (n, K)."""
    folds: tuple[Fold, ...]


def fit_decoder(
    examples: Examples,
    features: Mapping[int, Float32],
    settings: FittingSettings,
    budget: Budget,
    progress: Progress,
) -> Fitted:
    """Choose, judge and fit a decoder.

    Parameters
    ----------
    examples
        Of the calibration.
    features
        What the network's layers say of the examples, by the number of convolutions, the default
        layer first; `RECURRENT` among them.
    settings
        See `FittingSettings`.
    budget
        The permutation test stops when it is over.
    progress
        Called with how far each step has come.

    Raises
    ------
    ConfigError
        The labels do not allow any block to be held out.
    """
    lag_s, lag_reason = _lag(examples, settings)
    every = examples.label(lag_s)
    labels = every.only_usable(examples.usable)

    # --- what may decode, and which does ----------------------------------------------------------
    layer_of, candidates = _candidates(examples, features)
    nested = Nested(list(candidates.values()), labels, settings.preference, progress)
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
    test = permutation_test(
        nested.held_out,
        labels,
        settings.permutations,
        settings.seed,
        progress,
        cancelled=lambda: budget.over,
    )
    worth = replace(
        worth,
        p_value=test.p_value,
        permutations=test.permutations,
        read_outs=tuple(one.figures(labels) for one in read_outs.tried),
        notes=(
            *worth.notes,
            *examples.notes,
            *left_out(every, examples.usable),
            *read_outs.chosen.notes,
        ),
    )
    parts = {part: candidates[part] for part in chosen.parts}
    return Fitted(
        chosen=chosen,
        heads={name: fit_lda(c.features, labels, c.n_features) for name, c in parts.items()},
        layers={name: layer_of[name] for name in parts},
        read_outs=read_outs,
        labels=labels,
        lag_reason=lag_reason,
        metrics=worth,
        candidates=candidates,
        evidence=nested.evidence(),
        folds=nested.folds,
    )


def _candidates(
    examples: Examples, features: Mapping[int, Float32]
) -> tuple[dict[str, int], dict[str, Candidate]]:
    """Return what each candidate reads, and the candidates: layers of the network, then voxels."""
    names = {layer: f"convolution {layer}" for layer in features if layer != RECURRENT}
    names[RECURRENT] = "recurrent features"
    candidates = {name: Candidate(name, "deep", features[n], fit_lda) for n, name in names.items()}
    voxels = max(1, round(VOXEL_SHARE * examples.prepared.shape[1]))
    fit = partial(fit_lda, n_features=voxels)
    candidates["voxels"] = Candidate("voxels", "linear", examples.prepared, fit, voxels)
    layer_of = {name: layer for layer, name in names.items()} | {"voxels": VOXELS}
    return layer_of, candidates


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
