"""The calibration recipe: from labelled runs to a decoder bundle."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.budget import Budget
from calibration.bundling.assemble_decoder import (
    assemble_fitted,
    assemble_study,
    assemble_zero_shot,
)
from calibration.bundling.bundle_content import BundleContent
from calibration.bundling.write_bundle import check_whole_run, finish_bundle, write_bundle
from calibration.calibration_settings import CalibrationSettings
from calibration.compute import best_device, one_thread
from calibration.data.calibration_data import CalibrationData
from calibration.data.prepare_runs import all_features, prepare
from calibration.data.prepared_runs import ExtractorFactory, PreparedRuns
from calibration.data.run_preparation import RunPreparation
from calibration.decoders.compare import compare
from calibration.decoders.examples import Examples, training_examples
from calibration.decoders.fit import FittedDecoder, fit_decoder
from calibration.networks.features import RECURRENT, Extractor, FeatureExtractor
from calibration.priors.knowledge import (
    make_priors,
)
from calibration.priors.study_prior import pool_rule
from calibration.progress import Progress, silent
from calibration.recipe_inputs import RecipeInputs, check_recipe_inputs
from calibration.registration import Registration, register
from calibration.registration.read_image import read_image
from calibration.weights.pretrained import Pretrained
from rtdecode import bundle
from rtdecode.clock import SystemClock
from rtdecode.types import Bool, Float32, Volume


@dataclass(frozen=True, slots=True)
class Announcements:
    """Functions that are called as soon as the operator can act."""

    verdict: Callable[[FittedDecoder], None] = lambda _fitted: None
    """Called when the decoder has been evaluated."""
    servable: Callable[[bundle.Bundle], None] = lambda _bundle: None
    """Called when `rtdecode serve` can use the bundle."""


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationResult:
    """The result of a calibration."""

    bundle: bundle.Bundle
    registration: Registration | None
    """None if the space is that of an earlier bundle."""
    fitted: FittedDecoder | None
    """None for a zero-shot decoder."""


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    """The training data and the decoder that was fitted to them."""

    data: CalibrationData
    examples: Examples
    fitted: FittedDecoder


def calibrate(
    runs: Sequence[Sequence[Volume]],
    pretrained: Pretrained,
    events: Sequence[Path],
    out: Path,
    settings: CalibrationSettings,
    progress: Progress = silent,
    *,
    earlier: bundle.Bundle | None = None,
    preparation: RunPreparation | None = None,
    budget: Budget | None = None,
    announce: Announcements | None = None,
) -> CalibrationResult:
    """Compile a decoder for one person from calibration runs.

    The person waits in the scanner. Therefore the verdict comes first, then a bundle that can be
    served, and finally the comparisons and the report that complete it.

    Parameters
    ----------
    runs
        The calibration runs, each in temporal order.
    pretrained
        The network to start from.
    events
        BIDS events of each run; empty keeps the pretrained states or the study (zero-shot).
    out
        The bundle's folder, which must not exist.
    settings
        See `CalibrationSettings`.
    progress
        Called with the progress of each step.
    earlier
        A bundle of this person; its calibration data are used together with the new runs.
    preparation
        The preparation of the first run, if it started during the acquisition.
    budget
        Time limit for the permutation test and the comparisons.
    announce
        Called as soon as the operator can act.

    Raises
    ------
    ConfigError
        The events, the T1 or a run cannot be used. Nothing has been computed.
    RunError
        The registration fails, or the exported decoder differs from torch. A bundle that was
        already written is withdrawn.
    """
    budget = budget or Budget(None, SystemClock())
    announce = announce or Announcements()
    inputs = check_recipe_inputs(runs, pretrained, events, out, settings, earlier)
    zero_shot = not events
    make_extractor = None if zero_shot else _extractor_factory(pretrained)
    with (
        one_thread(),
        preparation or start_preparation(pretrained, settings, zero_shot=zero_shot) as first_run,
    ):
        # 1. Register the runs to MNI, and prepare them as they would be served.
        prepared = prepare(runs, first_run, earlier, make_extractor, progress)

        # 2. Choose, evaluate and fit the decoder.
        training = None
        if not zero_shot:
            training = _train(runs, inputs, prepared, pretrained, settings, budget, progress)
            announce.verdict(training.fitted)

        # 3. Export it to a bundle that can be served.
        content = _assemble(runs, inputs, prepared, pretrained, training)
        draft = write_bundle(content, out, settings.name, settings.seed, progress)
        announce.servable(draft.bundle)

        # 4. Check it over a whole run, compare it with other decoders, and complete the bundle.
        with check_whole_run(draft, content, progress) as check:
            comparison = None
            if training is not None:
                fitted, examples = training.fitted, training.examples
                comparison = compare(
                    fitted, examples, pretrained, settings.fitting, budget, progress
                )
            written = finish_bundle(draft, content, check, comparison, budget, progress)
    return CalibrationResult(written, prepared.registration, content.fitted)


def start_preparation(
    pretrained: Pretrained,
    settings: CalibrationSettings,
    expected: int | None = None,
    *,
    zero_shot: bool = False,
) -> RunPreparation:
    """Return the preparation of the first run; it can take volumes during the acquisition.

    `expected` is the run's number of volumes, if known. Zero-shot needs no features.

    Raises
    ------
    ConfigError
        The T1 is not a NIfTI image.
    """
    t1 = None if settings.t1 is None else read_image(settings.t1, "--t1")

    def locate(reference: Float32, affine: NDArray[np.float64]) -> Registration:
        return register(
            reference,
            affine,
            grid_shape=pretrained.grid_shape,
            grid_affine=pretrained.grid_affine,
            t1=t1,
            transform=settings.transform,
            quick=settings.quick_registration,
            seed=settings.seed,
        )

    make_extractor = None if zero_shot else _extractor_factory(pretrained)
    return RunPreparation(
        locate, pretrained.grid_affine, pretrained.smoothing_fwhm_mm, expected, make_extractor
    )


def _train(
    runs: Sequence[Sequence[Volume]],
    inputs: RecipeInputs,
    prepared: PreparedRuns,
    pretrained: Pretrained,
    settings: CalibrationSettings,
    budget: Budget,
    progress: Progress,
) -> _Training:
    """Fit a decoder to the new runs and those of an earlier bundle."""
    layers = (*pretrained.layers, RECURRENT)
    features = all_features(prepared, layers, inputs.earlier, progress)
    data = CalibrationData.from_runs(list(zip(runs, prepared.prepared, inputs.blocks, strict=True)))
    if inputs.earlier is not None:
        data = inputs.earlier.concatenate(data)
    examples = training_examples(
        data,
        features,
        inputs.spec,
        prepared.space,
        inputs.repetition_time_s,
        rest=settings.rest,
        priors=make_priors(inputs.knowledge, pretrained, data.prepared, prepared.space),
        pool_rule=None if pretrained.study is None else pool_rule(pretrained.study),
    )
    return _Training(data, examples, fit_decoder(examples, settings.fitting, budget, progress))


def _assemble(
    runs: Sequence[Sequence[Volume]],
    inputs: RecipeInputs,
    prepared: PreparedRuns,
    pretrained: Pretrained,
    training: _Training | None,
) -> BundleContent:
    """Return the parts of the bundle."""
    space, repetition_time_s = prepared.space, inputs.repetition_time_s
    if training is None:
        if pretrained.study is None:
            decoder = assemble_zero_shot(pretrained, space, repetition_time_s)
        else:
            decoder = assemble_study(pretrained.study, pretrained.network, space, repetition_time_s)
        return BundleContent(decoder, pretrained, runs, prepared, None, None)
    decoder = assemble_fitted(training.fitted, pretrained, space, repetition_time_s)
    return BundleContent(decoder, pretrained, runs, prepared, training.fitted, training.data)


def _extractor_factory(pretrained: Pretrained) -> ExtractorFactory:
    """Return a function that makes a feature extractor for a mask; it uses every core."""
    layers = (*pretrained.layers, RECURRENT)

    def make(mask: Bool) -> Extractor:
        threads = os.cpu_count() or 1
        return FeatureExtractor(pretrained.network, mask, layers, best_device(), threads).step

    return make
