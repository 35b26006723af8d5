"""Choose, evaluate and fit a decoder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from calibration.budget import Budget
from calibration.data.labels import REST, Labels, left_out
from calibration.decoders.choose import NestedCrossValidation
from calibration.decoders.decoder_choice import DecoderChoice, Preference
from calibration.decoders.evaluate import Fold, describe, folds, metrics, permutation_test
from calibration.decoders.examples import Examples
from calibration.decoders.fit_read_out import ReadOutPreference, ReadOuts, fit_read_outs
from calibration.decoders.head import Head, add_heads
from calibration.decoders.lag import DEFAULT_LAG_S, block_contrasts, choose_lag, held_out_rates
from calibration.decoders.lda import VOXEL_SHARE, Candidate, fit_lda
from calibration.networks.features import RECURRENT, VOXELS, coarse_voxels
from calibration.progress import Progress
from rtdecode.metrics import Metrics
from rtdecode.types import Float64


@dataclass(frozen=True, slots=True)
class FittingSettings:
    """The options of a fit."""

    preference: Preference = "best"
    """Which decoders may be chosen."""
    baselines: Literal["fast", "all"] = "fast"
    """Which baselines to compare with."""
    haemodynamic_lag_s: float | None = None
    """Lag of the response, seconds. None: chosen on held-out blocks."""
    permutations: int = 1000
    seed: int = 0
    read_out: ReadOutPreference = "best"
    """Whether the sliding window or the filter decides."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedDecoder:
    """A decoder's linear heads and read-outs, and its held-out performance."""

    chosen: DecoderChoice
    heads: Mapping[str, Head]
    """The head of each part of the decoder."""
    layers: Mapping[str, int]
    """The layer that each part reads: a number of convolutions, `RECURRENT` or `VOXELS`."""
    read_outs: ReadOuts
    labels: Labels
    lag_reason: str
    """Why this haemodynamic lag was chosen."""
    metrics: Metrics
    """Without the comparison with other decoders (`calibration.decoders.compare`)."""
    candidates: Mapping[str, Candidate]
    """All candidates that were tried."""
    evidence: Mapping[str, Float64]
    """Each candidate's held-out log-probabilities, (n, K)."""
    folds: tuple[Fold, ...]

    def weighted_heads(self) -> dict[int, Head]:
        """Return one head for each layer: the sum of its parts' heads times their shares."""
        shares = zip(self.chosen.parts, self.chosen.shares, strict=True)
        return add_heads((self.layers[name], self.heads[name], share) for name, share in shares)


def fit_decoder(
    examples: Examples, settings: FittingSettings, budget: Budget, progress: Progress
) -> FittedDecoder:
    """Choose, evaluate and fit a decoder.

    Parameters
    ----------
    examples
        The calibration data with features and labels.
    settings
        See `FittingSettings`.
    budget
        The permutation test stops when it is over.
    progress
        Called with the progress of each step.

    Raises
    ------
    ConfigError
        The labels do not allow any block to be held out.
    """
    # Refuse before the long part.
    by_default = examples.label(DEFAULT_LAG_S).only_usable(examples.usable)
    folds(by_default, with_prior=bool(examples.priors))
    lag_s, lag_reason = _choose_lag(examples, settings)
    all_labels = examples.label(lag_s)
    labels = all_labels.only_usable(examples.usable)

    # Choose the decoder by nested cross-validation.
    layers, candidates = _candidates(examples)
    cross_validation = NestedCrossValidation(
        list(candidates.values()), labels, settings.preference, progress, examples.pool_rule
    )
    chosen = cross_validation.choose()
    evidence = cross_validation.true_evidence()

    # Fit the read-outs, and evaluate the whole procedure on held-out blocks.
    read_outs = fit_read_outs(
        evidence, labels, examples.usable, examples.repetition_time_s, settings.read_out
    )
    split = describe(labels, cross_validation.folds)
    split += "" if cross_validation.nested else "; choices by default"
    held_out = metrics(
        evidence,
        read_outs.chosen.log_probabilities,
        labels,
        examples.usable,
        read_outs.chosen.none_threshold,
        split,
    )
    test = permutation_test(
        cross_validation.held_out,
        labels,
        settings.permutations,
        settings.seed,
        progress,
        cancelled=lambda: budget.over,
    )
    missing = left_out(all_labels, examples.usable)

    # Fit the heads of the chosen decoder to all blocks.
    parts = {name: candidates[name] for name in chosen.parts}
    return FittedDecoder(
        chosen=chosen,
        heads={name: candidate.head(labels) for name, candidate in parts.items()},
        layers={name: layers[name] for name in parts},
        read_outs=read_outs,
        labels=labels,
        lag_reason=lag_reason,
        metrics=replace(
            held_out,
            p_value=test.p_value,
            permutations=test.permutations,
            read_outs=tuple(read_out.figures(labels) for read_out in read_outs.tried),
            notes=(*held_out.notes, *examples.notes, *missing, *read_outs.chosen.notes),
        ),
        candidates=candidates,
        evidence=cross_validation.evidence(),
        folds=cross_validation.folds,
    )


def _candidates(examples: Examples) -> tuple[dict[str, int], dict[str, Candidate]]:
    """Return each candidate's layer, and the candidates: own, of the network and voxels; priors."""
    features = examples.features
    names = {layer: f"convolution {layer}" for layer in features if layer != RECURRENT}
    names[RECURRENT] = "recurrent features"
    candidates = {name: Candidate(name, "deep", features[n], fit_lda) for n, name in names.items()}
    voxels = max(1, round(VOXEL_SHARE * examples.prepared.shape[1]))
    fit = partial(fit_lda, n_features=voxels)
    candidates["voxels"] = Candidate("voxels", "linear", examples.prepared, fit, voxels)
    layers = {name: layer for layer, name in names.items()} | {"voxels": VOXELS}
    inputs = {**features, VOXELS: examples.prepared}
    for one in examples.priors:
        layers[one.name] = one.layer
        candidates[one.name] = Candidate(
            one.name, "prior", inputs[one.layer], fit_lda, prior=one.prior
        )
    return layers, candidates


def _choose_lag(examples: Examples, settings: FittingSettings) -> tuple[float, str]:
    """Return the haemodynamic lag in seconds, and the reason for it."""
    if settings.haemodynamic_lag_s is not None:
        return settings.haemodynamic_lag_s, "as asked for"
    coarse = coarse_voxels(examples.prepared, examples.mask, examples.grid_affine)
    rest_is_a_class = REST in examples.label(DEFAULT_LAG_S).classes
    return choose_lag(
        coarse,
        lambda lag_s: examples.label_task(lag_s).only_usable(examples.usable),
        block_contrasts if rest_is_a_class else held_out_rates,
    )
