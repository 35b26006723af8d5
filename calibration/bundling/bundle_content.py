"""The parts of a bundle, and its manifest."""

import hashlib
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass

from calibration.bundling.compile import ExportReport
from calibration.bundling.parity import Parity
from calibration.data.calibration_data import CalibrationData
from calibration.data.prepared_runs import PreparedRuns
from calibration.decoders.choice_rule import RULE
from calibration.decoders.fit import FittedDecoder
from calibration.decoders.fit_read_out import RULE as READ_OUT_RULE
from calibration.networks import StreamingDecoder
from calibration.weights.pretrained import Pretrained
from calibration.weights.study_figures import headline
from rtdecode import __version__, bundle
from rtdecode.types import Volume

LIBRARIES = (
    "torch",
    "onnx",
    "onnxruntime-gpu",
    "onnxruntime",
    "antspyx",
    "nilearn",
    "numba",
    "numpy",
    "scikit-learn",
)


@dataclass(frozen=True, slots=True, eq=False)
class BundleContent:
    """The parts that a bundle is written from."""

    decoder: StreamingDecoder
    pretrained: Pretrained
    runs: Sequence[Sequence[Volume]]
    """The new runs, without those of an earlier bundle."""
    prepared_runs: PreparedRuns
    fitted: FittedDecoder | None
    """None for a zero-shot decoder."""
    data: CalibrationData | None
    """The data that the decoder was fitted to; None for a zero-shot decoder."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The decoder's classes."""
        if self.fitted is not None:
            return self.fitted.labels.classes
        study = self.pretrained.study
        return self.pretrained.states if study is None else study.about.classes


def make_manifest(
    content: BundleContent, export: ExportReport, parity: Parity, name: str, seed: int
) -> bundle.Manifest:
    """Return the manifest of a bundle.

    Parameters
    ----------
    content
        The parts of the bundle.
    export
        The exported decoder.
    parity
        Its differences from torch.
    name
        The decoder's name, shown to the operator.
    seed
        The seed of all random numbers.
    """
    fitted, prepared_runs = content.fitted, content.prepared_runs
    settings = content.decoder.settings
    return bundle.Manifest(
        name=name,
        classes=content.classes,
        repetition_time_s=content.runs[0][0].repetition_time_s,
        kind="zero-shot" if fitted is None else fitted.chosen.name,
        rule=_rule(fitted, content.pretrained),
        window_volumes=settings.window_volumes,
        temperature=settings.temperature,
        fast_retention=settings.fast_retention,
        none_threshold=settings.none_threshold,
        haemodynamic_lag_s=0.0 if fitted is None else fitted.labels.lag_s,
        source_shape=prepared_runs.space.reference.shape,
        model_shape=content.pretrained.grid_shape,
        model_affine=tuple(tuple(row) for row in content.pretrained.grid_affine.tolist()),
        preparation=prepared_runs.stages.settings,
        state=export.state,
        parity=parity.figures(),
        provenance=_provenance(content, seed),
        metrics=None if fitted is None else fitted.metrics,
        read_out="window" if fitted is None else fitted.read_outs.chosen.kind,
        dwell_s=None if fitted is None else fitted.read_outs.chosen.dwell_s,
    )


def _rule(fitted: FittedDecoder | None, pretrained: Pretrained) -> str:
    if fitted is None and pretrained.study is not None:
        about = pretrained.study.about
        return f"study of {about.n_people} people, not fitted to this person: {headline(about)}"
    if fitted is None:
        return "as published, not fitted to this person"
    read_out = fitted.read_outs.chosen
    return (
        f"{fitted.chosen.name}: {fitted.chosen.reason}. Rule: {RULE}. Lag "
        f"{fitted.labels.lag_s:g} s: {fitted.lag_reason}. Read-out {read_out.name}: "
        f"{fitted.read_outs.reason}. Rule: {READ_OUT_RULE}"
    )


def _provenance(content: BundleContent, seed: int) -> bundle.Provenance:
    runs, data, prepared_runs = content.runs, content.data, content.prepared_runs
    digest = hashlib.sha256()
    for volume in (volume for run in runs for volume in run):
        digest.update(volume.data.tobytes())
        digest.update(volume.affine.tobytes())
    installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
    return bundle.Provenance(
        code_version=__version__,
        weights=content.pretrained.name,
        weights_sha256=content.pretrained.sha256,
        registration=prepared_runs.registration_method,
        registration_overlap=prepared_runs.registration_overlap,
        n_calibration_runs=len(runs) if data is None else len(data.blocks),
        n_calibration_volumes=sum(map(len, runs)) if data is None else len(data.run),
        seed=seed,
        data_sha256=digest.hexdigest(),
        libraries={name: installed[name] for name in LIBRARIES if name in installed},
    )
