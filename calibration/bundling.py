"""From what was fitted to a bundle: exported, checked, described."""

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration import keeping
from calibration.budget import Budget
from calibration.choose import RULE
from calibration.compile import Parity, export_decoder, parity
from calibration.fitting import Fitted
from calibration.keeping import Kept
from calibration.networks import StreamingDecoder
from calibration.preparing import PREPARATION, Ready
from calibration.pretrained import Pretrained
from calibration.progress import Progress
from calibration.read_outs import RULE as READ_OUT_RULE
from calibration.report import report
from rtdecode import __version__, bundle
from rtdecode.errors import RunError
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

LEAST_OF_HELD_OUT = 0.5
"""Share of the held-out accuracy that the compiled decoder must reach on what it was fitted to."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What a bundle is written of."""

    decoder: StreamingDecoder
    pretrained: Pretrained
    runs: Sequence[Sequence[Volume]]
    """The new ones."""
    ready: Ready
    fitted: Fitted | None
    """None: zero-shot."""
    kept: Kept | None
    """What it was fitted to."""


def write_bundle(
    made: Made, out: Path, name: str, seed: int, budget: Budget, progress: Progress
) -> bundle.Bundle:
    """Export, compare with torch, report, and write the bundle.

    Parameters
    ----------
    made
        What goes into it.
    out
        The folder, which must not exist yet.
    name
        Of the decoder, for the operator.
    seed
        Of everything drawn.
    budget
        What takes long in the report is left out when it is over.
    progress
        Told how far each step has come.

    Raises
    ------
    RunError
        The exported decoder disagrees with torch, or with what its calibration says of it.
    """
    decoder, pretrained, runs = made.decoder, made.pretrained, made.runs
    ready, fitted, kept = made.ready, made.fitted, made.kept
    classes = pretrained.states if fitted is None else fitted.labels.classes
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        progress("export to ONNX", 0, 1)
        export = export_decoder(decoder, classes, folder / "decoder.onnx")
        progress("export to ONNX", 1, 1)
        agreement = parity(export, ready.prepared[0], progress)
        if fitted is not None:
            rehearse(fitted, agreement, len(runs))
        manifest = bundle.Manifest(
            name=name,
            classes=classes,
            repetition_time_s=runs[0][0].repetition_time_s,
            kind="zero-shot" if fitted is None else fitted.chosen.name,
            rule=_rule(fitted),
            window_volumes=decoder.settings.window_volumes,
            temperature=decoder.settings.temperature,
            fast_retention=decoder.settings.fast_retention,
            none_threshold=decoder.settings.none_threshold,
            haemodynamic_lag_s=0.0 if fitted is None else fitted.labels.lag_s,
            source_shape=ready.space.reference.shape,
            model_shape=pretrained.grid_shape,
            model_affine=tuple(tuple(row) for row in pretrained.grid_affine.tolist()),
            preparation=ready.stages.settings,
            state=export.state,
            parity={
                "volumes": agreement.volumes,
                "probability": agreement.probability,
                "state": agreement.state,
            },
            provenance=_provenance(runs, pretrained, ready, kept, seed),
            metrics=None if fitted is None else fitted.metrics,
            read_out="window" if fitted is None else fitted.read_outs.chosen.kind,
            dwell_s=None if fitted is None else fitted.read_outs.chosen.dwell_s,
        )
        progress("write the report", 0, 1)
        extra = {"report.html": folder / "report.html"}
        extra["report.html"].write_text(
            report(manifest, ready.space, ready.registration, ready.prepared, decoder, fitted, kept,
                   budget, progress),
            encoding="utf-8",
        )  # fmt: skip
        progress("write the report", 1, 1)
        if kept is not None:
            extra[keeping.FILE] = folder / keeping.FILE
            kept.save(extra[keeping.FILE])
        state = {PREPARATION + name: array for name, array in ready.initial.items()}
        return bundle.write(out, manifest, export.path, ready.space, state, extra)


def rehearse(fitted: Fitted, agreement: Parity, new_runs: int) -> None:
    """Refuse a decoder that decides far less of what it was fitted to than of held-out blocks.

    Parameters
    ----------
    fitted
        What was judged.
    agreement
        What the exported decoder decided along the first of the new runs.
    new_runs
        How many runs are not an earlier bundle's.

    Raises
    ------
    RunError
        It is not what was judged.
    """
    labels = fitted.labels
    first = labels.take(labels.run == labels.run.max() + 1 - new_runs)
    right = (agreement.decided == first.label)[first.chosen]
    expected = fitted.metrics.accuracy.window
    if len(right) and right.mean() < LEAST_OF_HELD_OUT * expected:
        raise RunError(
            f"refused: the compiled decoder decides {right.mean():.0%} of the volumes that it was "
            f"fitted to, and held-out folds {expected:.0%}: it is not what was judged; calibrate "
            "again with --decoder deep or linear, and tell the developers"
        )


def _rule(fitted: Fitted | None) -> str:
    if fitted is None:
        return "as published, not fitted to this person"
    read_out = fitted.read_outs.chosen
    return (
        f"{fitted.chosen.name}: {fitted.chosen.reason}. Rule: {RULE}. Lag "
        f"{fitted.labels.lag_s:g} s: {fitted.lag_reason}. Read-out {read_out.name}: "
        f"{fitted.read_outs.reason}. Rule: {READ_OUT_RULE}"
    )


def _provenance(
    runs: Sequence[Sequence[Volume]],
    pretrained: Pretrained,
    ready: Ready,
    kept: Kept | None,
    seed: int,
) -> bundle.Provenance:
    digest = hashlib.sha256()
    for volume in (volume for run in runs for volume in run):
        digest.update(volume.data.tobytes())
        digest.update(volume.affine.tobytes())
    installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
    return bundle.Provenance(
        code_version=__version__,
        weights=pretrained.name,
        weights_sha256=pretrained.sha256,
        registration=ready.registration_method,
        registration_overlap=ready.registration_overlap,
        n_calibration_runs=len(runs) if kept is None else len(kept.blocks),
        n_calibration_volumes=sum(map(len, runs)) if kept is None else len(kept.run),
        seed=seed,
        data_sha256=digest.hexdigest(),
        libraries={name: installed[name] for name in LIBRARIES if name in installed},
    )
