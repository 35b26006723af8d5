"""Calibration from top to bottom: labelled runs in, a compiled decoder out."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from calibration.budget import Budget
from calibration.bundling.assemble_evidence import evidence_of
from calibration.bundling.write_bundle import Made, finish_bundle, whole_run_check, write_bundle
from calibration.compute import best_device, one_thread
from calibration.data.blocks import ClassSpec, find_blocks, parse_classes
from calibration.data.calibration_data import Kept, fingerprint
from calibration.data.labels import TASK, label_volumes
from calibration.data.prepare_runs import prepare
from calibration.data.prepared_runs import Extract, Ready
from calibration.data.run_preparation import Preparing
from calibration.decoders.compare import compare
from calibration.decoders.evaluate import folds
from calibration.decoders.fit import Examples, Fitted, FittingSettings, fit_decoder
from calibration.decoders.lag import DEFAULT_LAG_S, LAGS_S
from calibration.networks import NetworkEvidence, ReadOutSettings, StreamingDecoder
from calibration.networks.features import RECURRENT, FeatureExtractor, FeatureTable, Step
from calibration.progress import Progress, silent
from calibration.registration import Registration, register
from calibration.weights.pretrained import Pretrained
from rtdecode import bundle
from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError
from rtdecode.events import Block, read_events
from rtdecode.stages import Space
from rtdecode.types import Bool, Float32, Volume

ZERO_SHOT_WINDOW_S = 8.0


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """What a calibration may vary."""

    name: str
    """Of the decoder, for the operator."""
    classes: str | None = None
    """Which trial types are decoded, and which as one: `face+body:people,house`."""
    rest: bool = False
    """Whether rest is a class of its own."""
    fitting: FittingSettings = field(default_factory=FittingSettings)
    t1: Path | None = None
    """The subject's T1-weighted image, NIfTI."""
    transform: Path | None = None
    """A transform from the EPI to MNI that the user already has."""
    quick_registration: bool = False
    """Affine only: for the demo's simulated people, who are no more than that away."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Announcements:
    """Whom to tell what the person in the scanner waits for."""

    verdict: Callable[[Fitted], None] = lambda _fitted: None
    """Called when the decoder is judged."""
    servable: Callable[[bundle.Bundle], None] = lambda _bundle: None
    """Called when `rtdecode serve` may take the bundle."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What a calibration leaves behind."""

    bundle: bundle.Bundle
    registration: Registration | None
    """None: the space is an earlier bundle's."""
    fitted: Fitted | None
    """None: zero-shot."""


def preparing(
    pretrained: Pretrained,
    settings: CalibrationSettings,
    expected: int | None = None,
    *,
    zero_shot: bool = False,
) -> Preparing:
    """Return what takes the first run's volumes, if they are to be prepared as they come."""
    t1 = _image(settings.t1)

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

    extract = None if zero_shot else _extractor(pretrained)
    return Preparing(
        locate, pretrained.grid_affine, pretrained.smoothing_fwhm_mm, expected, extract
    )


def _extractor(pretrained: Pretrained) -> Extract:
    """Return what makes a feature extractor for a mask; it uses every core."""
    layers = (*pretrained.layers, RECURRENT)

    def make(mask: Bool) -> Step:
        threads = os.cpu_count() or 1
        return FeatureExtractor(pretrained.network, mask, layers, best_device(), threads).step

    return make


def calibrate(
    runs: Sequence[Sequence[Volume]],
    pretrained: Pretrained,
    events: Sequence[Path],
    out: Path,
    settings: CalibrationSettings,
    progress: Progress = silent,
    *,
    earlier: bundle.Bundle | None = None,
    begun: Preparing | None = None,
    budget: Budget | None = None,
    announce: Announcements | None = None,
) -> Calibrated:
    """Compile a decoder for the person whose runs these are.

    The person waits in the scanner: the verdict comes first, then a bundle that can be served, and
    at last what makes it complete.

    Parameters
    ----------
    runs
        The calibration runs, each in temporal order.
    pretrained
        The network to start from.
    events
        BIDS events of each run; none keeps the pretrained states (zero-shot).
    out
        The bundle's folder, which must not exist yet.
    settings
        See `CalibrationSettings`.
    progress
        Told how far each step has come.
    earlier
        A bundle of this person whose calibration data are to be used along with these.
    begun
        What has taken the first run's volumes already, as they came.
    budget
        How long testing and comparing may take.
    announce
        Called as soon as there is something to act upon.

    Raises
    ------
    ConfigError
        If the events, the T1 or a run cannot be used; nothing has been computed then.
    RunError
        If the registration fails, or the exported decoder disagrees with torch. A bundle that can
        be served already is withdrawn then.
    """
    budget = budget or Budget(None, SystemClock())
    announce = announce or Announcements()
    repetition_time_s = _check(runs, pretrained, events, out, earlier)
    kept = None if earlier is None else Kept.load(earlier)
    _check_distinct(runs, () if kept is None else kept.fingerprints)
    blocks = read_blocks(runs, events, repetition_time_s)
    spec = ClassSpec((), {})
    if events:  # refused before anything is computed
        earlier_blocks = () if kept is None else kept.blocks
        spec = _spec(settings.classes, (*earlier_blocks, *blocks))
        times = [np.array([v.acquired_s for v in run]) for run in runs]
        if kept is None:
            label_volumes(blocks, times, spec, LAGS_S[-1], rest=settings.rest)
    zero_shot = not events
    extract = None if zero_shot else _extractor(pretrained)
    with one_thread(), begun or preparing(pretrained, settings, zero_shot=zero_shot) as first:
        ready = prepare(runs, first, earlier, extract, progress)
        if not events:
            decoder = zero_shot_decoder(pretrained, ready.space, repetition_time_s)
            made = Made(decoder, pretrained, runs, ready, None, None)
            draft = write_bundle(made, out, settings.name, settings.seed, progress)
            announce.servable(draft.bundle)
            with whole_run_check(draft, made, progress) as check:
                written = finish_bundle(draft, made, check, None, budget, progress)
            return Calibrated(written, ready.registration, None)
        features = _features(ready, pretrained, kept, progress)
        now = Kept.of(list(zip(runs, ready.prepared, blocks, strict=True)))
        kept = now if kept is None else kept.followed_by(now)
        examples = examples_of(kept, spec, ready.space, repetition_time_s, rest=settings.rest)
        folds(examples.label(DEFAULT_LAG_S).only_usable(examples.usable))  # refuses before the work
        fitted = fit_decoder(examples, features, settings.fitting, budget, progress)
        announce.verdict(fitted)
        decoder = fitted_decoder(fitted, pretrained, ready.space, repetition_time_s)
        made = Made(decoder, pretrained, runs, ready, fitted, kept)
        draft = write_bundle(made, out, settings.name, settings.seed, progress)
        announce.servable(draft.bundle)
        with whole_run_check(draft, made, progress) as check:
            comparison = compare(
                fitted, examples, features, pretrained, settings.fitting, budget, progress
            )
            written = finish_bundle(draft, made, check, comparison, budget, progress)
        return Calibrated(written, ready.registration, fitted)


def _features(
    ready: Ready, pretrained: Pretrained, earlier: Kept | None, progress: Progress
) -> dict[int, Float32]:
    """Return the features of all volumes, an earlier bundle's first, the default layer first."""
    layers = (*pretrained.layers, RECURRENT)
    found = dict(ready.features)
    if earlier is not None and ready.extract is not None:
        table = FeatureTable()
        for row, volume in enumerate(earlier.prepared):
            table.put(row, len(earlier.prepared), ready.extract(volume))
            progress("features of the earlier runs", row + 1, len(earlier.prepared))
        found = {layer: np.concatenate([table.arrays[layer], found[layer]]) for layer in layers}
    return {layer: found[layer] for layer in layers}


def read_blocks(
    runs: Sequence[Sequence[Volume]], events: Sequence[Path], repetition_time_s: float
) -> tuple[tuple[Block, ...], ...]:
    """Read each run's events into blocks."""
    return tuple(
        find_blocks(read_events(path), path, volumes[-1].acquired_s + repetition_time_s, number)
        for number, (volumes, path) in enumerate(zip(runs, events, strict=False))
    )


def examples_of(
    kept: Kept, spec: ClassSpec, space: Space, repetition_time_s: float, *, rest: bool
) -> Examples:
    """Return what a decoder is fitted to."""
    times = [kept.acquired_s[kept.run == run] for run in range(len(kept.blocks))]
    task = ClassSpec((TASK,), dict.fromkeys(spec.of, TASK))
    return Examples(
        prepared=kept.prepared,
        usable=kept.usable,
        motion=kept.motion,
        label=lambda lag_s: label_volumes(kept.blocks, times, spec, lag_s, rest=rest),
        label_task=lambda lag_s: label_volumes(kept.blocks, times, task, lag_s, rest=True),
        mask=space.mask,
        grid_affine=space.grid_affine,
        repetition_time_s=repetition_time_s,
        notes=_blocks_of_other_types(kept.blocks, spec),
    )


def _blocks_of_other_types(runs: Sequence[Sequence[Block]], spec: ClassSpec) -> tuple[str, ...]:
    others = Counter(b.trial_type for blocks in runs for b in blocks if b.trial_type not in spec.of)
    counts = ", ".join(f"{name} ({count})" for name, count in sorted(others.items()))
    return (f"left out by --classes: blocks of {counts}",) if others else ()


def zero_shot_decoder(
    pretrained: Pretrained, space: Space, repetition_time_s: float
) -> StreamingDecoder:
    """Return the network as it was published, with the two read-outs behind it."""
    window_volumes = max(1, round(ZERO_SHOT_WINDOW_S / repetition_time_s))
    evidence = NetworkEvidence(pretrained.network, space.mask)
    return StreamingDecoder(evidence, ReadOutSettings(window_volumes))


def fitted_decoder(
    fitted: Fitted, pretrained: Pretrained, space: Space, repetition_time_s: float
) -> StreamingDecoder:
    """Return the decoder that was fitted."""
    chosen = fitted.read_outs.chosen
    return StreamingDecoder(
        evidence_of(fitted, pretrained.network, space.mask),
        ReadOutSettings(
            chosen.window_volumes,
            chosen.temperature,
            fitted.read_outs.fast_retention,
            chosen.none_threshold,
            None if chosen.dwell_s is None else chosen.dwell_s / repetition_time_s,
        ),
    )


def _spec(text: str | None, runs: Sequence[Sequence[Block]]) -> ClassSpec:
    return parse_classes(text, [block.trial_type for blocks in runs for block in blocks])


def _image(path: Path | None) -> tuple[Float32, NDArray[np.float64]] | None:
    if path is None:
        return None
    try:
        image = nib.as_closest_canonical(nib.Nifti1Image.from_filename(path))
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        raise ConfigError(f"--t1 {path}: not a NIfTI image: {error}") from error
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64)


def _check_distinct(runs: Sequence[Sequence[Volume]], earlier: Sequence[str]) -> None:
    """Refuse a run that is there twice: held out once, it would be trained on all the same."""
    known = list(earlier)
    problems = []
    for number, run in enumerate(runs, start=1):
        found = fingerprint(run)
        if found in known:
            place = known.index(found) - len(earlier) + 1
            where = f"is run {place} again" if place > 0 else "is in the --from bundle already"
            problems.append(f"run {number} {where}: give each run once")
        known.append(found)
    if problems:
        raise ConfigError(problems)


def _check(
    runs: Sequence[Sequence[Volume]],
    pretrained: Pretrained,
    events: Sequence[Path],
    out: Path,
    earlier: bundle.Bundle | None,
) -> float:
    problems = []
    if out.exists():
        problems.append(f"{out}: already exists; choose another --out or remove it first")
    if not runs or any(len(run) < 10 for run in runs):
        shortest = min((len(run) for run in runs), default=0)
        problems.append(f"a run has {shortest} volumes; at least 10 are needed to know a mean")
    if events and len(events) != len(runs):
        problems.append(f"{len(runs)} runs and {len(events)} events files: one for each run")
    repetition_time_s = runs[0][0].repetition_time_s if runs and runs[0] else float("nan")
    if runs and runs[0] and not repetition_time_s > 0:
        problems.append("the run's headers give no RepetitionTime; is this a BOLD series?")
    protocols = {(run[0].data.shape, round(run[0].repetition_time_s, 3)) for run in runs if run}
    if earlier is not None:
        manifest = earlier.manifest
        protocols.add((manifest.source_shape, round(manifest.repetition_time_s, 3)))
        if manifest.model_shape != pretrained.grid_shape:
            problems.append(
                f"--from {earlier.path}: prepared on a grid of {manifest.model_shape}, and "
                f"{pretrained.name} reads {pretrained.grid_shape}; use the weights that it was "
                f"made with ({manifest.provenance.weights})"
            )
    if len(protocols) > 1:
        told = "; ".join(f"matrix {shape}, {time_s:g} s" for shape, time_s in sorted(protocols))
        problems.append(f"the runs have different protocols ({told}); calibrate on one")
    if problems:
        raise ConfigError(problems)
    return repetition_time_s
