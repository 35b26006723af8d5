"""From what was fitted to a bundle: exported, checked, described."""

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.budget import Budget
from calibration.bundling.compile import ExportReport, Parity, export_decoder, parity, parity_sample
from calibration.bundling.report import report
from calibration.data import calibration_data
from calibration.data.calibration_data import Kept
from calibration.data.prepared_runs import PREPARATION, Ready
from calibration.decoders.choose import RULE
from calibration.decoders.compare import Comparison
from calibration.decoders.fit import Fitted
from calibration.decoders.fit_read_out import RULE as READ_OUT_RULE
from calibration.decoders.fit_read_out import apply_read_out
from calibration.networks import StreamingDecoder
from calibration.progress import Progress
from calibration.weights.pretrained import Pretrained
from rtdecode import __version__, bundle
from rtdecode.errors import RunError
from rtdecode.supplement import Supplement
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


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A bundle that can be served, and is not complete yet."""

    bundle: bundle.Bundle
    export: ExportReport


def write_bundle(made: Made, out: Path, name: str, seed: int, progress: Progress) -> Draft:
    """Export, compare a few volumes with torch, and write a bundle that can be served.

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
    progress
        Called with how far each step has come.

    Raises
    ------
    RunError
        The exported decoder disagrees with torch, or with what its calibration says of it.
    """
    decoder, pretrained, runs = made.decoder, made.pretrained, made.runs
    ready, fitted = made.ready, made.fitted
    classes = pretrained.states if fitted is None else fitted.labels.classes
    if fitted is not None:
        rehearse(fitted, _decided(fitted, made), np.arange(len(fitted.labels.label)))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "decoder.onnx"
        progress("export to ONNX", 0, 1)
        export = export_decoder(decoder, classes, path)
        progress("export to ONNX", 1, 1)
        sample = parity_sample(ready.prepared[0], decoder.settings.window_volumes)
        agreement = parity(export, sample, progress, restore_after=len(sample) // 2)
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
            parity=_figures(agreement),
            provenance=_provenance(runs, pretrained, ready, made.kept, seed),
            metrics=None if fitted is None else fitted.metrics,
            read_out="window" if fitted is None else fitted.read_outs.chosen.kind,
            dwell_s=None if fitted is None else fitted.read_outs.chosen.dwell_s,
        )
        state = {PREPARATION + name: array for name, array in ready.initial.items()}
        written = bundle.write(out, manifest, export.path, ready.space, state)
    return Draft(written, replace(export, path=out / bundle.DECODER))


@contextmanager
def whole_run_check(draft: Draft, made: Made, progress: Progress) -> Iterator[Future[Parity]]:
    """Compare a whole run with torch in a thread, while other work goes on.

    Parameters
    ----------
    draft
        What `write_bundle` returned; it may be in use already.
    made
        What it was written of.
    progress
        Called with how far the comparison has come.

    Raises
    ------
    RunError
        The exported decoder disagrees with torch somewhere along the run, or with what its
        calibration says of it. The bundle has another name then, so that nobody takes it.
    """

    def compare_with_torch() -> Parity:
        agreement = parity(draft.export, made.ready.prepared[0], progress)
        if made.fitted is not None:
            run = made.fitted.labels.run
            rows = np.flatnonzero(run == run.max() + 1 - len(made.runs))
            rehearse(made.fitted, agreement.decided, rows)
        return agreement

    with ThreadPoolExecutor(1, thread_name_prefix="parity") as pool:
        check = pool.submit(compare_with_torch)
        try:
            yield check
        finally:
            try:
                check.result()
            except RunError as error:
                place = bundle.withdraw(draft.bundle)
                raise RunError(
                    f"{error}. The bundle is withdrawn: do not use it, and stop a service that "
                    f"does. It is now {place}"
                ) from error


def finish_bundle(
    draft: Draft,
    made: Made,
    check: Future[Parity],
    comparison: Comparison | None,
    budget: Budget,
    progress: Progress,
) -> bundle.Bundle:
    """Add the report and the calibration's data.

    Parameters
    ----------
    draft
        What `write_bundle` returned; it may be in use already.
    made
        What it was written of.
    check
        Of the whole run.
    comparison
        With other decoders; `None` for zero-shot.
    budget
        What takes long in the report is left out when it is over.
    progress
        Called with how far each step has come.

    Raises
    ------
    RunError
        The check failed.
    """
    ready, kept = made.ready, made.kept
    metrics = None if comparison is None else comparison.metrics
    manifest = replace(draft.bundle.manifest, metrics=metrics)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = {"report.html": folder / "report.html"}
        progress("write the report", 0, 1)
        text = report(
            manifest,
            ready.space,
            ready.registration,
            ready.prepared,
            made.decoder,
            made.fitted,
            () if comparison is None else comparison.learning,
            kept,
            lambda: _figures(check.result()),
            budget,
            progress,
        )
        files["report.html"].write_text(text, encoding="utf-8")
        if kept is not None:
            files[calibration_data.FILE] = folder / calibration_data.FILE
            kept.save(files[calibration_data.FILE])
        progress("write the report", 1, 1)
        supplement = Supplement(
            digest=draft.bundle.digest,
            parity=_figures(check.result()),
            comparison=() if metrics is None else metrics.comparison,
            notes=() if metrics is None else metrics.notes,
        )
        return bundle.add(draft.bundle, supplement, files)


def rehearse(fitted: Fitted, decided: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """Refuse a decoder that decides far less of what it was fitted to than of held-out blocks.

    Parameters
    ----------
    fitted
        What was judged.
    decided
        What the decoder decides at some volumes, -1 for none.
    rows
        Which volumes these are.

    Raises
    ------
    RunError
        It is not what was judged.
    """
    labels = fitted.labels.take(rows)
    right = (decided == labels.label)[labels.chosen]
    expected = fitted.metrics.accuracy.window
    if len(right) and right.mean() < LEAST_OF_HELD_OUT * expected:
        raise RunError(
            f"refused: the compiled decoder decides {right.mean():.0%} of the volumes that it was "
            f"fitted to, and held-out folds {expected:.0%}: it is not what was judged; calibrate "
            "again with --decoder deep or linear, and tell the developers"
        )


def _decided(fitted: Fitted, made: Made) -> NDArray[np.int64]:
    """Return what heads and read-out decide along the calibration runs, -1 for none."""
    labels = fitted.labels
    usable = np.ones(len(labels.label), bool) if made.kept is None else made.kept.usable
    evidence = {
        name: head.log_probabilities(fitted.candidates[name].features)
        for name, head in fitted.heads.items()
    }
    read_out = fitted.read_outs.chosen
    served = apply_read_out(
        read_out,
        fitted.chosen.combine(evidence),
        labels,
        usable,
        made.runs[0][0].repetition_time_s,
    )
    sure = np.exp(served.max(axis=1)) >= read_out.none_threshold
    return np.where(sure, served.argmax(axis=1), -1)


def _figures(agreement: Parity) -> dict[str, float]:
    return {
        "volumes": agreement.volumes,
        "probability": agreement.probability,
        "state": agreement.state,
    }


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
