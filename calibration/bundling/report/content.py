"""The content of the report, section by section."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from calibration.budget import Budget
from calibration.bundling.relevance import explained, relevance
from calibration.bundling.report import pictures
from calibration.bundling.report.performance import performance
from calibration.data.calibration_data import CalibrationData
from calibration.decoders.compare import Learning
from calibration.decoders.evaluate import verdict
from calibration.decoders.fit import FittedDecoder
from calibration.networks import StreamingDecoder
from calibration.progress import Progress
from calibration.registration import Registration, overlay
from rtdecode import report_kit as kit
from rtdecode.bundle import Manifest
from rtdecode.report_kit.axes import Axis, ChartLine, lines
from rtdecode.stages import Space
from rtdecode.types import Float64, Prepared

MOST_VOLUMES = 6
"""Maximum number of volumes that the relevance map of a class averages, one from each block."""


def report(
    manifest: Manifest,
    space: Space,
    registration: Registration | None,
    prepared: Sequence[Sequence[Prepared]],
    decoder: StreamingDecoder,
    fitted: FittedDecoder | None,
    learning: Learning,
    kept: CalibrationData | None,
    parity: Callable[[], Mapping[str, float]],
    budget: Budget,
    progress: Progress,
) -> str:
    """Return the report of a calibration, one self-contained page.

    Parameters
    ----------
    manifest
        The bundle's manifest, with the comparison with other decoders.
    space, registration
        The positions of the decoder's voxels; `None` if an earlier bundle gave them.
    prepared
        The prepared volumes of each run.
    decoder
        The exported decoder.
    fitted
        The fitted decoder; `None` for zero-shot.
    learning
        The accuracy for increasing numbers of blocks.
    kept
        The data of the fit; `None` for zero-shot.
    parity
        Waits for the comparison with torch, and returns the largest differences.
    budget
        The relevance maps are left out when it is over.
    progress
        Called with the progress of the relevance maps.
    """
    parts = [_headline(manifest, fitted)]
    if fitted is not None and kept is not None:
        parts += performance(fitted, manifest.metrics or fitted.metrics, learning, kept)
    parts += _motion(manifest, prepared)
    if registration is not None:
        parts.append(
            kit.section(
                "Registration",
                "The outline of the brain must follow the rim of the EPI's, that of the white "
                f"matter its folds and ventricles. Overlap {registration.overlap:.2f}.",
                f'<img alt="mean EPI under the template\'s outlines" '
                f'src="{pictures.data_uri(overlay(registration))}">'
                + kit.items(registration.warnings),
            )
        )
    if fitted is not None and kept is not None and explained(decoder.evidence) and not budget.over:
        parts.append(_relevance(fitted, kept, space, decoder, budget, progress))
    parts.append(kit.section("Where it comes from", "", kit.facts(_provenance(manifest, parity()))))
    return kit.page(manifest.name, "Calibration report of rtdecode", parts)


def _headline(manifest: Manifest, fitted: FittedDecoder | None) -> str:
    if fitted is None:
        return kit.verdict(
            f"{len(manifest.classes)} classes learnt from other people ({manifest.rule}): nothing "
            "is known of how well the decoder works for this person",
            "ZERO-SHOT",
            "open",
        )
    found = verdict(fitted.metrics, fitted.labels.classes)
    kind = {"go": "go", "no-go": "stop", "not tested": "open"}[found.outcome]
    return kit.verdict(found.sentence, found.outcome.upper(), kind)


def _motion(manifest: Manifest, prepared: Sequence[Sequence[Prepared]]) -> list[str]:
    limit_mm = manifest.preparation.framewise_displacement_limit_mm
    parts = []
    for number, run in enumerate(prepared, start=1):
        time_s = np.array([one.index for one in run]) * manifest.repetition_time_s
        motion = np.stack([one.motion.as_array() for one in run])
        quality = [one.quality for one in run]
        moved = np.array([q.framewise_displacement for q in quality])
        dvars = np.array([q.dvars for q in quality])
        kept_out = sum(not q.usable for q in quality)
        finite_snr = [q.temporal_snr for q in quality if np.isfinite(q.temporal_snr)]
        axis = Axis(float(time_s[-1]) + manifest.repetition_time_s)
        translations = [ChartLine(f"trans_{a}", motion[:, n]) for n, a in enumerate("xyz")]
        rotations = [
            ChartLine(f"rot_{a}", np.degrees(motion[:, 3 + n])) for n, a in enumerate("xyz")
        ]
        displacement = [ChartLine("framewise displacement", moved)]
        parts.append(
            kit.section(
                f"Head and signal, run {number}" if len(prepared) > 1 else "Head and signal",
                f"{len(run)} volumes, {kept_out} of them not counted; framewise displacement "
                f"{np.median(moved):.2f} mm at the median, {moved.max():.2f} at most (limit "
                f"{limit_mm:g}); temporal SNR {finite_snr[-1] if finite_snr else np.nan:.0f}.",
                lines(translations, time_s, axis, "Translation, mm")
                + lines(rotations, time_s, axis, "Rotation, degrees")
                + lines(displacement, time_s, axis, "Framewise displacement, mm", limit=limit_mm)
                + lines([ChartLine("DVARS", dvars)], time_s, axis, "DVARS, % of the mean signal"),
            )
        )
    return parts


def _relevance(
    fitted: FittedDecoder,
    kept: CalibrationData,
    space: Space,
    decoder: StreamingDecoder,
    budget: Budget,
    progress: Progress,
) -> str:
    labels = fitted.labels
    figures = []
    for c, name in enumerate(labels.classes):
        rows = _examples(fitted, c)
        total: Float64 = np.zeros(decoder.voxels)
        for done, row in enumerate(rows, start=1):
            total += relevance(decoder.evidence, kept.prepared[row], c).voxels
            progress(
                "relevance of voxels", c * MOST_VOLUMES + done, MOST_VOLUMES * labels.n_classes
            )
            if budget.cancelled:
                break
        png = pictures.relevance_png(total / max(1, len(rows)), space)
        figures.append(
            f"<figure><figcaption>{escape(name)}</figcaption>"
            f'<img alt="relevance for {escape(name)}" src="{pictures.data_uri(png)}"></figure>'
        )
    progress("relevance of voxels", 1, 1)
    return kit.section(
        "Which voxels speak for each class",
        "Layer-wise relevance propagation (epsilon rule) through the decoder, for volumes in the "
        "middle of blocks, on this person's own mean EPI, left on the left; warm: for the class, "
        "cold: against it; smoothed a little, the strongest voxels only. Eyes, rims and ventricles "
        "should stay grey.",
        "".join(figures),
    )


def _examples(fitted: FittedDecoder, c: int) -> list[int]:
    """Return the middle volume of some of a class's blocks."""
    labels = fitted.labels
    numbers = np.unique(labels.block[labels.label == c])[:MOST_VOLUMES]
    return [
        int(rows[len(rows) // 2]) for rows in (np.flatnonzero(labels.block == n) for n in numbers)
    ]


def _provenance(manifest: Manifest, parity: Mapping[str, float]) -> list[tuple[str, str]]:
    made = manifest.provenance
    differences = "; ".join(f"{name} {value:.2g}" for name, value in parity.items())
    libraries = ", ".join(f"{name} {version}" for name, version in made.libraries.items())
    return [
        ("decoder", manifest.kind),
        ("chosen", manifest.rule),
        ("pretrained weights", f"{made.weights}, SHA-256 {made.weights_sha256}"),
        (
            "data",
            f"{kit.count(made.n_calibration_runs, 'run')}, "
            f"{made.n_calibration_volumes} volumes; SHA-256 of the new ones' voxels "
            f"{made.data_sha256}",
        ),
        (
            "protocol",
            f"matrix {manifest.source_shape}, repetition time {manifest.repetition_time_s:g} s",
        ),
        ("registration", f"{made.registration}, overlap {made.registration_overlap:.2f}"),
        ("torch against ONNX Runtime", f"largest differences over the run: {differences}"),
        ("seed", str(made.seed)),
        ("rtdecode", made.code_version),
        ("libraries", libraries),
    ]
