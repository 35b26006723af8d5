"""The calibration recipe: from labelled runs to a decoder bundle."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from calibration.compute import best_device, one_thread
from calibration.data.blocks import ClassSpec, parse_classes, read_blocks
from calibration.data.calibration_data import CalibrationData
from calibration.data.check_runs import check_distinct, check_runs
from calibration.data.labels import REST, label_volumes
from calibration.data.prepare_runs import all_features, prepare
from calibration.data.prepared_runs import ExtractorFactory, PreparedRuns
from calibration.data.run_preparation import RunPreparation
from calibration.decoders.compare import compare
from calibration.decoders.examples import Examples, training_examples
from calibration.decoders.fit import FittedDecoder, FittingSettings, fit_decoder
from calibration.decoders.lag import LAGS_S
from calibration.networks.features import RECURRENT, Extractor, FeatureExtractor
from calibration.priors.knowledge import (
    PriorKnowledge,
    check_new_person,
    find_knowledge,
    make_priors,
)
from calibration.priors.study_prior import pool_rule
from calibration.progress import Progress, silent
from calibration.registration import Registration, register
from calibration.registration.read_image import read_image
from calibration.weights.pretrained import Pretrained
from rtdecode import bundle
from rtdecode.clock import SystemClock
from rtdecode.events import Block
from rtdecode.types import Bool, Float32, Volume


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """The options of a calibration."""

    name: str
    """The decoder's name, shown to the operator."""
    classes: str | None = None
    """The trial types to decode, and which of them form one class: `face+body:people,house`."""
    rest: bool = False
    """Whether rest is a class."""
    states: Mapping[str, str] | None = None
    """The pretrained network's state of each class, as a prior. None: by their names."""
    maps: Mapping[str, Path] = field(default_factory=dict)
    """The group map of each class, as a prior."""
    fitting: FittingSettings = field(default_factory=FittingSettings)
    t1: Path | None = None
    """The subject's T1-weighted image, NIfTI."""
    transform: Path | None = None
    """A transform from the EPI to MNI that the user already has."""
    quick_registration: bool = False
    """Use affine registration only; it is sufficient for the demo's simulated participants."""
    seed: int = 0


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
class _Inputs:
    """The checked inputs of a calibration."""

    repetition_time_s: float
    blocks: tuple[tuple[Block, ...], ...]
    """The blocks of each new run; empty for zero-shot."""
    spec: ClassSpec
    earlier: CalibrationData | None
    """The data of an earlier bundle."""
    knowledge: PriorKnowledge
    """What is known of the classes from other people."""


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
    inputs = _check_inputs(runs, pretrained, events, out, settings, earlier)
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


def _check_inputs(
    runs: Sequence[Sequence[Volume]],
    pretrained: Pretrained,
    events: Sequence[Path],
    out: Path,
    settings: CalibrationSettings,
    earlier: bundle.Bundle | None,
) -> _Inputs:
    """Refuse inputs that cannot be used, before anything is computed."""
    repetition_time_s = check_runs(runs, events, out, pretrained, earlier)
    data = None if earlier is None else CalibrationData.load(earlier)
    check_distinct(runs, data)
    blocks = read_blocks(runs, events, repetition_time_s)
    spec = ClassSpec((), {})
    knowledge = PriorKnowledge()
    if events:
        all_blocks = [*(() if data is None else data.blocks), *blocks]
        trial_types = [block.trial_type for run in all_blocks for block in run]
        spec = parse_classes(settings.classes, trial_types)
        classes = (*spec.classes, *((REST,) if settings.rest else ()))
        knowledge = find_knowledge(pretrained, classes, settings.states, settings.maps)
        check_new_person(pretrained.study, runs)
        if data is None:
            times = [np.array([volume.acquired_s for volume in run]) for run in runs]
            least = knowledge.min_blocks
            label_volumes(blocks, times, spec, LAGS_S[-1], rest=settings.rest, min_blocks=least)
    return _Inputs(repetition_time_s, blocks, spec, data, knowledge)


def _train(
    runs: Sequence[Sequence[Volume]],
    inputs: _Inputs,
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
    inputs: _Inputs,
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
