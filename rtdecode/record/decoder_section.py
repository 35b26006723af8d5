"""The report's sections on the decoder: its properties and its accuracy in calibration."""

from collections.abc import Mapping, Sequence

from rtdecode.bundle import Manifest
from rtdecode.journal import RecordedRun
from rtdecode.metrics import Accuracy, Compared, Metrics, p_in_words
from rtdecode.report_kit import count, facts, grid, percent, section, shown

CONTROL = "control"
"""The kind of compared models that use no brain data."""


def decoder_sections(
    runs: Sequence[RecordedRun], manifests: Mapping[str, Manifest]
) -> list[str]:  # fmt: skip
    """Return the cards of each bundle of the runs."""
    parts = ["<h2>The decoder</h2>"]
    for digest in dict.fromkeys(run.bundle for run in runs):
        manifest = manifests.get(digest)
        if manifest is None:
            note = (
                "The bundle is not in the folder from which it was served, so its details are "
                "missing here. Give its folder with rtdecode export --bundle BUNDLE."
            )
            parts.append(section(f"Bundle {digest}", note, ""))
            continue
        parts.append(section(f"Bundle {digest}", manifest.rule, _facts(manifest)))
        parts.append(_accuracy(manifest))
    return parts


def _facts(manifest: Manifest) -> str:
    prepared, origin = manifest.preparation, manifest.provenance
    threshold = (
        f"the likeliest class, or none below {shown(manifest.none_threshold)}"
        if manifest.none_threshold
        else "always the likeliest class"
    )
    source, grid_shape = (
        "x".join(map(str, s)) for s in (manifest.source_shape, manifest.model_shape)
    )
    return facts(
        [
            ("Name", manifest.name),
            ("Decoder", f"{manifest.kind}, in a grid of {grid_shape} voxels in MNI space"),
            ("Classes", ", ".join(manifest.classes)),
            (
                "Decision",
                f"by {read_out(manifest)}, temperature "
                f"{shown(manifest.temperature)}; {threshold}",
            ),
            (
                "Calibrated on",
                f"{count(origin.n_calibration_runs, 'run')} of {origin.n_calibration_volumes} "
                f"volumes in all, {source} voxels, repetition time "
                f"{manifest.repetition_time_s:g} s, "
                f"haemodynamic lag {manifest.haemodynamic_lag_s:g} s",
            ),
            (
                "Preparation",
                f"smoothing {prepared.smoothing_fwhm_mm:g} mm, memory {prepared.memory_s:g} s, "
                f"ready after {prepared.ready_after_s:g} s",
            ),
            ("Registration", f"{origin.registration}; overlap {origin.registration_overlap:.2f}"),
            ("Weights", f"{origin.weights}, sha256 {origin.weights_sha256}"),
            ("Calibration data", f"sha256 {origin.data_sha256}, seed {origin.seed}"),
            ("Software", ", ".join(
                [f"rtdecode {origin.code_version}"]
                + [f"{name} {version}" for name, version in origin.libraries.items()])),
        ]
    )  # fmt: skip


def _accuracy(manifest: Manifest) -> str:
    metrics = manifest.metrics
    if metrics is None:
        note = (
            "The decoder was not fitted to this person. No data were held out, so its accuracy is "
            "unknown."
        )
        return section("Accuracy in calibration", note, "")
    rows = [_row(f"served: {manifest.kind}", metrics.accuracy, metrics.log_loss)]
    rows += [
        _row(f"{what}: {one.name}", one.accuracy, one.log_loss)
        for what, one in _baselines(metrics, manifest.kind)
    ]
    head = (
        "decoder",
        "blocks",
        "95 % interval",
        "decisions",
        "volumes",
        "95 % interval",
        "log loss",
    )
    p_value = "not tested" if metrics.p_value is None else (
        f"{p_in_words(metrics.p_value, metrics.permutations)} by {metrics.permutations} "
        "permutations of the blocks' labels"
    )  # fmt: skip
    rows_below = [
        ("Chance", f"{percent(metrics.chance)}, one in {len(manifest.classes)}"),
        ("p of the accuracy of volumes", p_value),
        ("Held out", f"{metrics.split}: {metrics.n_blocks} blocks, {metrics.n_volumes} volumes"),
        ("Expected calibration error", shown(metrics.expected_calibration_error)),
        ("Brier score", shown(metrics.brier)),
    ]
    rows_below += [("Note", note) for note in metrics.notes]
    note = (
        "Balanced accuracy on held-out blocks of the calibration run. It is not the accuracy of "
        "this session."
    )
    return section("Accuracy in calibration", note, grid(head, rows, 6) + facts(rows_below))


def _baselines(metrics: Metrics, chosen: str) -> list[tuple[str, Compared]]:
    """Return the best control and the best linear decoder of the comparison."""
    found = []
    for kind, what in ((CONTROL, "best control"), ("linear", "best linear decoder")):
        tried = [one for one in metrics.comparison if one.kind == kind and one.name != chosen]
        if tried:
            found.append((what, max(tried, key=lambda one: one.accuracy.volume)))
    return found


def _row(name: str, accuracy: Accuracy, log_loss: float) -> tuple[str, ...]:
    def interval(bounds: tuple[float, float]) -> str:
        return f"{percent(bounds[0])} to {percent(bounds[1])}"

    return (
        name,
        percent(accuracy.block),
        interval(accuracy.interval_95_block),
        percent(accuracy.window),
        percent(accuracy.volume),
        interval(accuracy.interval_95_volume),
        shown(log_loss),
    )


def read_out(manifest: Manifest) -> str:
    """Return how a decoder combines single volumes into decisions."""
    if manifest.dwell_s is None:
        return f"a window of {count(manifest.window_volumes, 'volume')}"
    return f"a forward filter, expected dwell time {manifest.dwell_s:g} s"
