"""Messages of a calibration to the operator in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from calibration.decoders.fit import FittedDecoder
from calibration.recipe import Announcements, CalibrationResult
from rtdecode.bundle import Bundle
from rtdecode.metrics import DECODER_ROW_NOTE, Metrics, decoder_row, verdict

COLOURS = {"go": "green", "no-go": "red", "not tested": "yellow"}


def announcements(console: Console) -> Announcements:
    """Return functions that print the verdict and the bundle's path as soon as they are known."""

    def print_judgement(fitted: FittedDecoder) -> None:
        print_verdict(fitted.metrics, fitted.labels.classes, console)

    def print_servable(bundle: Bundle) -> None:
        console.print(
            f"[bold]ready to serve:[/] rtdecode serve --bundle {bundle.path}\n"
            "[grey58]comparisons and the report follow; the bundle is withdrawn if the decoder "
            "fails its last check[/]",
            soft_wrap=True,
        )

    return Announcements(print_judgement, print_servable)


def print_verdict(metrics: Metrics, classes: Sequence[str], console: Console) -> None:
    """Print the verdict in one line."""
    result = verdict(metrics, classes)
    console.print(f"[bold {COLOURS[result.outcome]}]{result.sentence}[/]")


def print_summary(result: CalibrationResult, console: Console) -> None:
    """Print a summary for the operator; the verdict is last."""
    manifest = result.bundle.manifest
    path = result.bundle.path
    console.print(
        f"[bold]{path}[/]  {len(manifest.classes)} classes, {manifest.kind}, digest "
        f"{result.bundle.digest}",
        soft_wrap=True,
    )
    if result.registration is not None:
        console.print(f"registration: overlap {result.registration.overlap:.2f}")
        for warning in result.registration.warnings:
            console.print(f"[yellow]{warning}[/]")
    console.print(f"[bold]read {path / 'report.html'} before you use the bundle[/]", soft_wrap=True)
    if manifest.metrics is None:
        return
    grid = Table(box=None, header_style="grey58")
    for column in ("held out", "kind", "blocks", "95 %", "decisions", "volumes"):
        grid.add_column(column, justify="left" if column in {"held out", "kind"} else "right")
    chosen = () if result.fitted is None else result.fitted.chosen.parts
    for number, row in enumerate((decoder_row(manifest.metrics), *manifest.metrics.comparison)):
        low, high = row.accuracy.interval_95_block
        grid.add_row(
            row.name,
            f"{row.kind}, chosen" if row.name in chosen else row.kind,
            f"{row.accuracy.block:.0%}",
            f"{low:.0%}-{high:.0%}",
            f"{row.accuracy.window:.0%}",
            f"{row.accuracy.volume:.0%}",
            style="bold" if number == 0 else "",
        )
    console.print(grid)
    for read_out in manifest.metrics.read_outs:
        console.print(
            f"{read_out.name}: {read_out.accuracy:.0%} of decisions right, "
            f"log-loss {read_out.log_loss:.2f}",
            style="bold" if read_out.kind == manifest.read_out else "",
        )
    console.print(f"[grey58]{manifest.metrics.split}[/]")
    console.print(f"[grey58]{DECODER_ROW_NOTE}[/]")
    for note in manifest.metrics.notes:
        console.print(f"[grey58]{note}[/]")
    print_verdict(manifest.metrics, manifest.classes, console)
