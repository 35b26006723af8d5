"""Calibration from top to bottom: a run in, a compiled decoder out."""

import hashlib
import importlib.metadata
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from calibration.compile import export_decoder, parity
from calibration.dataset import Labels, find_blocks, label_volumes, read_events
from calibration.evaluate import held_out_log_probabilities, score
from calibration.finetune import coarse_voxels, fit, fit_head, fit_temperature, network_features
from calibration.networks import DeepLight, ReadOut
from calibration.progress import Progress, silent
from calibration.reference import mean_epi
from calibration.registration import Registration, register
from calibration.weights import DEEPLIGHT_2D, cached, describe, load_deeplight
from rtdecode import __version__, bundle
from rtdecode.errors import ConfigError
from rtdecode.stages import Preparation, PreparationSettings, Space
from rtdecode.types import Float32, Prepared, State, Volume

LIBRARIES = (
    "torch",
    "onnx",
    "onnxruntime-gpu",
    "onnxruntime",
    "antspyx",
    "nilearn",
    "numba",
    "numpy",
)


@dataclass(frozen=True, slots=True, eq=False)
class Pretrained:
    """A network that knows states of other people's brains."""

    name: str
    network: DeepLight
    states: tuple[str, ...]
    """What its outputs stand for, in order."""
    grid_affine: NDArray[np.float64]
    """Its input grid: voxel to MNI millimetres, RAS+."""
    sha256: str

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(X, Y, Z) of its input."""
        return self.network.grid_shape


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """What a calibration may vary."""

    name: str
    """Of the decoder, for the operator."""
    window_s: float = 8.0
    """Length of the decision window."""
    haemodynamic_lag_s: float = 5.0
    smoothing_fwhm_mm: float = 3.0
    t1: Path | None = None
    """The subject's T1-weighted image, NIfTI."""
    transform: Path | None = None
    """A transform from the EPI to MNI that the user already has."""
    quick_registration: bool = False
    """Affine only: for the demo's simulated people, who are no more than that away."""
    read_out_layer: int = 10
    """After how many convolutions the fitted output layer reads (zero-shot reads after all)."""
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """What a calibration leaves behind."""

    bundle: bundle.Bundle
    registration: Registration
    reference: Float32
    reference_affine: NDArray[np.float64]


def calibrate(
    volumes: list[Volume],
    pretrained: Pretrained,
    events: Path | None,
    out: Path,
    settings: CalibrationSettings,
    progress: Progress = silent,
) -> Calibrated:
    """Compile a decoder for the person whose run this is.

    Parameters
    ----------
    volumes
        The calibration run, in temporal order.
    pretrained
        The network to start from.
    events
        BIDS events of the run; None keeps the pretrained states (zero-shot).
    out
        The bundle's folder, which must not exist yet.
    settings
        See `CalibrationSettings`.
    progress
        Told how far each step has come.

    Raises
    ------
    ConfigError
        If the events, the T1 or the run cannot be used; nothing has been computed then.
    RunError
        If the registration fails, or the exported decoder disagrees with torch.
    """
    repetition_time_s = _check_run(volumes, out)
    labels = _labels(events, volumes, settings.haemodynamic_lag_s)
    t1 = _image(settings.t1)

    # --- where the subject's brain is -------------------------------------------------------------
    reference, reference_affine = mean_epi(volumes, progress)
    progress("register to MNI", 0, 1)
    registration = register(
        reference,
        reference_affine,
        grid_shape=pretrained.grid_shape,
        grid_affine=pretrained.grid_affine,
        t1=t1,
        transform=settings.transform,
        quick=settings.quick_registration,
        seed=settings.seed,
    )
    progress("register to MNI", 1, 1)
    space = Space(
        reference=reference,
        reference_affine=reference_affine,
        mask=registration.mask,
        grid_affine=pretrained.grid_affine,
        coordinates_mm=registration.coordinates_mm,
    )

    # --- the serving stages, volume by volume: once for each voxel's spread, once as served -------
    preparation = PreparationSettings(
        repetition_time_s=repetition_time_s, smoothing_fwhm_mm=settings.smoothing_fwhm_mm
    )
    stages = Preparation(space, preparation)
    _, end = walk(stages, stages.initial_state(), volumes, progress, "learn the voxels' spread")
    initial = stages.initial_state(spread=stages.spread_of(end))
    prepared, _ = walk(stages, initial, volumes, progress, "prepare as served")

    # --- the output layer -------------------------------------------------------------------------
    window_volumes = max(1, round(settings.window_s / repetition_time_s))
    classes, read_out, temperature, metrics = pretrained.states, None, 1.0, None
    if labels is not None:
        classes = labels.classes
        read_out, temperature, metrics = _fit_output(
            pretrained, prepared, labels, space, settings.read_out_layer, progress
        )

    # --- compile ----------------------------------------------------------------------------------
    with tempfile.TemporaryDirectory() as scratch:
        decoder = Path(scratch) / "decoder.onnx"
        progress("export to ONNX", 0, 1)
        export = export_decoder(
            pretrained.network,
            space.mask,
            classes,
            window_volumes=window_volumes,
            temperature=temperature,
            path=decoder,
            read_out=read_out,
        )
        progress("export to ONNX", 1, 1)
        agreement = parity(export, prepared, progress)
        manifest = bundle.Manifest(
            name=settings.name,
            classes=classes,
            repetition_time_s=repetition_time_s,
            window_volumes=window_volumes,
            temperature=temperature,
            haemodynamic_lag_s=settings.haemodynamic_lag_s,
            source_shape=reference.shape,
            model_shape=pretrained.grid_shape,
            model_affine=tuple(tuple(row) for row in pretrained.grid_affine.tolist()),
            preparation=preparation,
            state=export.state,
            parity=asdict(agreement),
            provenance=_provenance(volumes, pretrained, registration, settings.seed),
            metrics=metrics,
        )
        state = {f"preparation/{name}": array for name, array in initial.items()}
        written = bundle.write(out, manifest, decoder, space, state)
    return Calibrated(written, registration, reference, reference_affine)


def load_pretrained(weights: str) -> Pretrained:
    """Load pretrained weights by their registered name, or from a file.

    Raises
    ------
    ConfigError
        If they are not on this machine, or the file holds something else.
    """
    path = Path(weights)
    if not path.is_file():
        path = cached(weights)
    description = describe(path)
    return Pretrained(
        name=path.stem,
        network=load_deeplight(path),
        states=description.states,
        grid_affine=np.array(DEEPLIGHT_2D.affine),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def walk(
    stages: Preparation, state: State, volumes: list[Volume], progress: Progress, step: str
) -> tuple[list[Prepared], State]:
    """Prepare a run exactly as it is served; return its prepared volumes and the last state."""
    prepared = []
    previous = volumes[0].index - 1
    for done, volume in enumerate(volumes, start=1):
        state, one = stages.step(state, volume, volume.index - previous)
        previous = volume.index
        prepared.append(one)
        progress(step, done, len(volumes))
    return prepared, state


def _fit_output(
    pretrained: Pretrained,
    prepared: list[Prepared],
    labels: Labels,
    space: Space,
    layer: int,
    progress: Progress,
) -> tuple[ReadOut, float, bundle.Metrics]:
    """Fit the output layer on all labelled volumes; judge it on blocks held out of the fit."""
    usable = np.array([one.quality.usable for one in prepared])
    labels = replace(
        labels,
        label=np.where(usable, labels.label, -1),
        block=np.where(usable, labels.block, -1),
    )
    plain = coarse_voxels(prepared, space.mask, space.grid_affine)
    linear = score(held_out_log_probabilities(plain, labels, fit), labels, baseline="")
    features = network_features(pretrained.network, prepared, space.mask, layer, progress)
    progress("hold out blocks", 0, 1)
    held_out = held_out_log_probabilities(features, labels, fit)
    progress("hold out blocks", 1, 1)
    metrics = score(
        held_out,
        labels,
        baseline=(
            "shrinkage LDA on 8 mm voxels, same folds: "
            f"blocks {linear.balanced_accuracy_block:.0%}, "
            f"volumes {linear.balanced_accuracy_volume:.0%}"
        ),
    )
    chosen = labels.chosen
    head = fit_head(features[chosen], labels.label[chosen], len(labels.classes))
    temperature = fit_temperature(held_out[chosen], labels.label[chosen])
    return ReadOut(layer, head.weight, head.bias), temperature, metrics


def _image(path: Path | None) -> tuple[Float32, NDArray[np.float64]] | None:
    if path is None:
        return None
    try:
        image = nib.as_closest_canonical(nib.Nifti1Image.from_filename(path))
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        raise ConfigError(f"--t1 {path}: not a NIfTI image: {error}") from error
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64)


def _labels(events: Path | None, volumes: list[Volume], lag_s: float) -> Labels | None:
    if events is None:
        return None
    acquired_s = np.array([volume.acquired_s for volume in volumes])
    return label_volumes(find_blocks(read_events(events)), acquired_s, lag_s)


def _check_run(volumes: list[Volume], out: Path) -> float:
    problems = []
    if out.exists():
        problems.append(f"{out}: already exists; choose another --out or remove it first")
    if len(volumes) < 10:
        problems.append(
            f"the run has {len(volumes)} volumes; at least 10 are needed to know a mean"
        )
    repetition_time_s = volumes[0].repetition_time_s if volumes else float("nan")
    if volumes and not repetition_time_s > 0:
        problems.append("the run's headers give no RepetitionTime; is this a BOLD series?")
    if problems:
        raise ConfigError(problems)
    return repetition_time_s


def _provenance(
    volumes: list[Volume], pretrained: Pretrained, registration: Registration, seed: int
) -> bundle.Provenance:
    digest = hashlib.sha256()
    for volume in volumes:
        digest.update(volume.data.tobytes())
        digest.update(volume.affine.tobytes())
    installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
    return bundle.Provenance(
        code_version=__version__,
        weights=pretrained.name,
        weights_sha256=pretrained.sha256,
        registration=registration.method,
        registration_overlap=registration.overlap,
        n_calibration_volumes=len(volumes),
        seed=seed,
        data_sha256=digest.hexdigest(),
        libraries={name: installed[name] for name in LIBRARIES if name in installed},
    )
