"""The summary at the end of the demo."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from calibration.demo.feedback_report import Report
from rtdecode.metrics import Metrics, p_in_words
from rtdecode.wire import StageLatency

NEXT = (
    (
        "rtdecode weights fetch deeplight-2d",
        "weights trained on 400 people of the Human Connectome Project",
    ),
    ("rtdecode calibrate --help", "a decoder from your own DICOM series"),
    ("rtdecode serve --help", "decode the volumes that your scanner exports in real time"),
    ("rtdecode monitor --help", "watch a session from another terminal"),
)


def facts(report: Report) -> list[tuple[str, str]]:
    """Return each result as a name and a text."""
    score, run, metrics = report.feedback.score, report.feedback, report.calibration
    low, high = score.interval_95_block
    held_out_low, held_out_high = metrics.accuracy.interval_95_block
    skipped = ", ".join(f"{number} {reason}" for reason, number in run.skipped.items())
    stages = "  ".join(f"{name} {each.p50_ms:.1f}" for name, each in run.stages.items())
    return [
        (
            "feedback run",
            f"{score.blocks_right} of {score.blocks} blocks right ({score.block_accuracy:.0%}, "
            f"95 % interval {low:.0%} to {high:.0%}); {score.volume_accuracy:.0%} of "
            f"{score.volumes} volumes; chance {score.chance:.0%}",
        ),
        (
            "calibration",
            f"held out: {metrics.accuracy.block:.0%} of {metrics.n_blocks} blocks "
            f"(95 % interval {held_out_low:.0%} to {held_out_high:.0%}), "
            f"{metrics.accuracy.volume:.0%} of volumes; {_against(metrics)}; "
            f"brain overlap after registration {report.registration_overlap:.2f}",
        ),
        (
            "network",
            f"{report.weights}: trained on other simulated people with other tasks",
        ),
        (
            "others",
            f"a study of {report.others} other simulated people with the same task",
        ),
        (
            "volumes",
            f"{run.received} received, {run.decided} decided, "
            f"{sum(run.skipped.values())} skipped" + (f" ({skipped})" if skipped else ""),
        ),
        ("latency", f"{_percentiles(run.total)}, from a file's last byte to the recorded outcome"),
        ("stages, p50", f"{stages} ms"),
        (
            "wall time",
            f"{sum(report.seconds.values()):.0f} s: "
            + ", ".join(f"{name} {seconds:.0f}" for name, seconds in report.seconds.items()),
        ),
    ]


def panel(report: Report, width: int = 100) -> RenderableType:
    """Return the summary."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="grey74", no_wrap=True)
    table.add_column()
    for name, text in facts(report):
        table.add_row(name, Text(text, "bold" if name == "feedback run" else ""))
    if report.folder:
        table.add_row("files", Text(report.folder, overflow="fold"))
    commands = Table.grid(padding=(0, 2, 0, 0))
    commands.add_column(style="bold cyan", no_wrap=True)
    commands.add_column(style="grey70")
    for command, purpose in NEXT:
        commands.add_row(command, purpose)
    return Panel(
        Group(table, Text(), Text(warning(), "yellow"), Text(), Text("next", "grey58"), commands),
        title=Text(" results ", "bold"),
        title_align="left",
        border_style="grey42",
        width=width,
        padding=(0, 1),
    )


def warning() -> str:
    """Return a warning about the limits of these figures."""
    return (
        "All data are simulated. The figures show that the system works, from scanner file to "
        "decision. They do not show how well real brains can be decoded."
    )


def _against(metrics: Metrics) -> str:
    """Return the accuracy of the best linear decoder, and the p-value."""
    plain = [each for each in metrics.comparison if each.kind == "linear"]
    best = max(plain, key=lambda each: each.accuracy.volume, default=None)
    comparison = "" if best is None else f"{best.name} {best.accuracy.volume:.0%} of volumes"
    p_value = "" if metrics.p_value is None else p_in_words(metrics.p_value, metrics.permutations)
    return "; ".join(filter(None, (comparison, p_value)))


def _percentiles(each: StageLatency) -> str:
    return f"p50 {each.p50_ms:.0f}, p95 {each.p95_ms:.0f}, p99 {each.p99_ms:.0f} ms"
