"""What the report says, section by section."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np

from calibration.budget import Budget
from calibration.bundling.relevance import explained, relevance
from calibration.bundling.report import comparison_charts as charts
from calibration.bundling.report import pictures
from calibration.data.calibration_data import CalibrationData
from calibration.decoders.compare import Learning
from calibration.decoders.evaluate import verdict
from calibration.decoders.fit import FittedDecoder
from calibration.networks import StreamingDecoder
from calibration.progress import Progress
from calibration.registration import Registration
from rtdecode import report_kit as kit
from rtdecode.bundle import Manifest
from rtdecode.metrics import DECODER_ROW_NOTE, Metrics, decoder_row, p_in_words
from rtdecode.report_kit.axes import Axis, ChartLine, lines
from rtdecode.stages import Space
from rtdecode.types import Float64, Prepared

MOST_VOLUMES = 6
"""Of each class, one a block, that a relevance map averages."""


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
    """Return the report of a calibration, one self-contained kit.

    Parameters
    ----------
    manifest
        Of the bundle, its figures completed by the comparison with other decoders.
    space, registration
        Where the decoder's voxels are; `None` where an earlier bundle had found out.
    prepared
        Volumes of each run.
    decoder
        As exported.
    fitted
        What was fitted; `None` for zero-shot.
    learning
        How accuracy grows with blocks.
    kept
        What it was fitted to; `None` for zero-shot.
    parity
        Waits for the comparison with torch, and returns the largest differences.
    budget
        The relevance maps are left out when it is over.
    progress
        Told how far they have come.
    """
    parts = [_headline(manifest, fitted)]
    if fitted is not None and kept is not None:
        parts += _figures(fitted, manifest.metrics or fitted.metrics, learning, kept)
    parts += _motion(manifest, prepared)
    if registration is not None:
        parts.append(
            kit.section(
                "Registration",
                "The outline of the brain must follow the rim of the EPI's, that of the white "
                f"matter its folds and ventricles. Overlap {registration.overlap:.2f}.",
                f'<img alt="mean EPI under the template\'s outlines" '
                f'src="{pictures.data_uri(pictures.registration_png(registration))}">'
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


def _figures(
    fitted: FittedDecoder, metrics: Metrics, learning: Learning, kept: CalibrationData
) -> list[str]:
    labels, classes = fitted.labels, fitted.labels.classes
    rows = (decoder_row(metrics), *metrics.comparison)
    compared = charts.accuracies(rows, fitted.chosen.parts, metrics.chance)
    key = kit.dots(("blocks, Wilson interval", "volumes, bootstrap over blocks"))
    served = np.exp(fitted.read_outs.chosen.log_probabilities)
    of = labels.block_labels()
    runs = []
    for run in range(len(kept.blocks)):
        here = labels.run == run
        shown = [
            (int(of[n]), block.onset_s + labels.lag_s, block.end_s + labels.lag_s)
            for n, block in enumerate(labels.blocks)
            if block.run == run and of[n] >= 0
        ]
        runs.append(charts.traces(served[here], labels.acquired_s[here], classes, shown))
    return [
        kit.section(
            "How well each decoder does on blocks it was not fitted to",
            f"{metrics.split}; {metrics.n_blocks} blocks, {metrics.n_volumes} volumes. "
            f"{DECODER_ROW_NOTE} Controls know nothing of the brain, or have learnt nothing. They "
            "show what the design alone gives away.",
            compared + key,
        ),
        kit.section(
            "What would have been decided along the run",
            f"Probabilities of the decisions ({fitted.read_outs.chosen.name}), each volume decoded "
            "by a fit without its block; shaded: when the class was shown, the haemodynamic lag "
            "added.",
            "".join(runs),
        ),
        '<div class="two">'
        + kit.section(
            "Blocks: shown (rows) and decided", "", charts.confusion(metrics.confusion, classes)
        )
        + _learning(learning, metrics)
        + "</div>",
        kit.section(
            "How decisions are read out of single volumes",
            f"Both on the same held-out evidence, each block with settings fitted to the others. "
            f"Bold: what was compiled, by its {fitted.read_outs.reason}.",
            _read_outs(fitted, metrics),
        ),
        kit.section("In figures", "", kit.facts(_numbers(fitted, metrics))),
        kit.section("What to keep in mind", "", kit.items(metrics.notes)),
    ]


def _learning(learning: Learning, metrics: Metrics) -> str:
    if len(learning) < 2:
        body = kit.items(["Each fold has one block of a class to learn from: nothing to compare."])
    else:
        body = charts.learning(learning, metrics.chance)
    note = "Held-out volumes decoded, with the standard error over blocks."
    return kit.section("Would more blocks help?", note, body)


def _numbers(fitted: FittedDecoder, metrics: Metrics) -> list[tuple[str, str]]:
    accuracy, read_outs = metrics.accuracy, fitted.read_outs
    read_out = read_outs.chosen

    def with_interval(value: float, interval: tuple[float, float]) -> str:
        return f"{value:.0%} (95 % {interval[0]:.0%} to {interval[1]:.0%})"

    p_value = "not tested" if metrics.p_value is None else (
        f"{p_in_words(metrics.p_value, metrics.permutations)}, {metrics.permutations} permutations "
        "of the blocks' classes before the whole procedure"
    )  # fmt: skip
    return [
        ("decoder", f"{fitted.chosen.name}: {fitted.chosen.reason}"),
        ("blocks", with_interval(accuracy.block, accuracy.interval_95_block)),
        ("decisions at each volume", with_interval(accuracy.window, accuracy.interval_95_window)),
        ("volumes", with_interval(accuracy.volume, accuracy.interval_95_volume)),
        ("chance", f"{metrics.chance:.0%}"),
        ("against chance", p_value),
        ("log-loss", f"{metrics.log_loss:.2f} (knowing nothing: {-np.log(metrics.chance):.2f})"),
        ("Brier score", f"{metrics.brier:.2f} (knowing nothing: {1 - metrics.chance:.2f})"),
        ("calibration error", f"{metrics.expected_calibration_error:.0%}"),
        ("decided between blocks", _percent(metrics.false_alarm_rate)),
        (
            "from onset to a stable right decision",
            _latency(metrics.onset_latency_s, metrics.missed_blocks, metrics.n_blocks),
        ),
        ("haemodynamic lag", f"{fitted.labels.lag_s:g} s: {fitted.lag_reason}"),
        ("decision read-out", read_out.name),
        ("fast read-out", f"keeps {read_outs.fast_retention:.0%} a volume"),
        ("temperature", f"{read_out.temperature:.3g}"),
        ("threshold of none", f"{read_out.none_threshold:.2f}"),
    ]  # fmt: skip


def _read_outs(fitted: FittedDecoder, metrics: Metrics) -> str:
    """Return a table of window and filter, the compiled one in bold."""
    head = ("read-out", "right at each volume", "log-loss", "onset to a stable right decision")
    rows = [
        (
            one.name,
            f"{one.accuracy:.0%} ({one.interval_95[0]:.0%} to {one.interval_95[1]:.0%})",
            f"{one.log_loss:.2f}",
            _latency(one.onset_latency_s, one.missed_blocks, metrics.n_blocks),
        )
        for one in metrics.read_outs
    ]
    return kit.grid(head, rows, strong=fitted.read_outs.chosen.name)


def _latency(onset_s: float | None, missed: int, n_blocks: int) -> str:
    if onset_s is None:
        return "never"
    return f"{onset_s:.1f} s at the median; {missed} of {n_blocks} blocks had none"


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
                f"{limit_mm:g}); temporal SNR {_last(quality):.0f}.",
                lines(translations, time_s, axis, "Translation, mm")
                + lines(rotations, time_s, axis, "Rotation, degrees")
                + lines(displacement, time_s, axis, "Framewise displacement, mm", limit=limit_mm)
                + lines([ChartLine("DVARS", dvars)], time_s, axis, "DVARS, % of the mean signal"),
            )
        )
    return parts


def _last(quality: Sequence[object]) -> float:
    known = [float(getattr(q, "temporal_snr", np.nan)) for q in quality]
    return next((v for v in reversed(known) if np.isfinite(v)), float("nan"))


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


def _percent(value: float | None) -> str:
    return "unknown: there is no rest" if value is None else f"{value:.0%} of volumes"
