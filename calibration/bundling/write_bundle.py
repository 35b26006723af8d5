"""Write the bundle of a decoder: first a bundle that can be served, then the complete one."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibration.budget import Budget
from calibration.bundling.bundle_content import BundleContent, make_manifest
from calibration.bundling.check_decoder import check_training_accuracy, training_decisions
from calibration.bundling.compile import ExportReport, export_decoder
from calibration.bundling.parity import Parity, parity, parity_sample
from calibration.bundling.report import report
from calibration.data import calibration_data
from calibration.data.prepared_runs import PREPARATION
from calibration.decoders.compare import Comparison
from calibration.progress import Progress
from rtdecode import bundle
from rtdecode.errors import RunError
from rtdecode.supplement import Supplement


@dataclass(frozen=True, slots=True, eq=False)
class DraftBundle:
    """A bundle that can be served but is not complete."""

    bundle: bundle.Bundle
    export: ExportReport


def write_bundle(
    content: BundleContent, out: Path, name: str, seed: int, progress: Progress
) -> DraftBundle:
    """Export the decoder, compare a few volumes with torch, and write a bundle to serve.

    Parameters
    ----------
    content
        The parts of the bundle.
    out
        The bundle's folder, which must not exist.
    name
        The decoder's name, shown to the operator.
    seed
        The seed of all random numbers.
    progress
        Called with the progress of each step.

    Raises
    ------
    RunError
        The exported decoder differs from torch or from the evaluated decoder.
    """
    fitted, prepared_runs = content.fitted, content.prepared_runs
    if fitted is not None:
        decided = training_decisions(fitted, content)
        check_training_accuracy(fitted, decided, np.arange(len(fitted.labels.label)))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "decoder.onnx"
        progress("export to ONNX", 0, 1)
        export = export_decoder(content.decoder, content.classes, path)
        progress("export to ONNX", 1, 1)
        sample = parity_sample(prepared_runs.prepared[0], content.decoder.settings.window_volumes)
        agreement = parity(export, sample, progress, restore_after=len(sample) // 2)
        manifest = make_manifest(content, export, agreement, name, seed)
        state = {PREPARATION + key: array for key, array in prepared_runs.initial.items()}
        written = bundle.write(out, manifest, export.path, prepared_runs.space, state)
    return DraftBundle(written, replace(export, path=out / bundle.DECODER))


@contextmanager
def check_whole_run(
    draft: DraftBundle, content: BundleContent, progress: Progress
) -> Iterator[Future[Parity]]:
    """Compare a whole run with torch in a thread, while other work continues.

    Parameters
    ----------
    draft
        Result of `write_bundle`; it may be in use.
    content
        The parts of the bundle.
    progress
        Called with the progress of the comparison.

    Raises
    ------
    RunError
        The exported decoder differs from torch somewhere in the run, or from the evaluated
        decoder. The bundle has been renamed, so that it is not used.
    """

    def compare_with_torch() -> Parity:
        agreement = parity(draft.export, content.prepared_runs.prepared[0], progress)
        if content.fitted is not None:
            run = content.fitted.labels.run
            rows = np.flatnonzero(run == run.max() + 1 - len(content.runs))
            check_training_accuracy(content.fitted, agreement.decided, rows)
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
                    f"{error}. The bundle is withdrawn and is now {place}: do not use it, and "
                    "stop any service that uses it"
                ) from error


def finish_bundle(
    draft: DraftBundle,
    content: BundleContent,
    check: Future[Parity],
    comparison: Comparison | None,
    budget: Budget,
    progress: Progress,
) -> bundle.Bundle:
    """Add the report and the calibration data.

    Parameters
    ----------
    draft
        Result of `write_bundle`; it may be in use.
    content
        The parts of the bundle.
    check
        The comparison of the whole run with torch.
    comparison
        The comparison with other decoders; `None` for zero-shot.
    budget
        Slow parts of the report are left out when it is over.
    progress
        Called with the progress of each step.

    Raises
    ------
    RunError
        The check failed.
    """
    prepared_runs, data = content.prepared_runs, content.data
    metrics = None if comparison is None else comparison.metrics
    manifest = replace(draft.bundle.manifest, metrics=metrics)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = {"report.html": folder / "report.html"}
        progress("write the report", 0, 1)
        text = report(
            manifest,
            prepared_runs.space,
            prepared_runs.registration,
            prepared_runs.prepared,
            content.decoder,
            content.fitted,
            () if comparison is None else comparison.learning,
            data,
            lambda: check.result().figures(),
            budget,
            progress,
        )
        files["report.html"].write_text(text, encoding="utf-8")
        if data is not None:
            files[calibration_data.FILE] = folder / calibration_data.FILE
            data.save(files[calibration_data.FILE])
        progress("write the report", 1, 1)
        supplement = Supplement(
            digest=draft.bundle.digest,
            parity=check.result().figures(),
            comparison=() if metrics is None else metrics.comparison,
            notes=() if metrics is None else metrics.notes,
        )
        return bundle.add(draft.bundle, supplement, files)
