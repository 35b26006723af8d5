"""The sections of the report about the decoder's held-out performance."""

import numpy as np

from calibration.bundling.report import comparison_charts as charts
from calibration.data.calibration_data import CalibrationData
from calibration.decoders.compare import Learning
from calibration.decoders.fit import FittedDecoder
from rtdecode import report_kit as kit
from rtdecode.metrics import DECODER_ROW_NOTE, Metrics, decoder_row, p_in_words


def performance(
    fitted: FittedDecoder, metrics: Metrics, learning: Learning, kept: CalibrationData
) -> list[str]:
    """Return the sections about the decoder's held-out performance."""
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


def _percent(value: float | None) -> str:
    return "unknown: there is no rest" if value is None else f"{value:.0%} of volumes"
