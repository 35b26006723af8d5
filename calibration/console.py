"""What a calibration tells an operator in the terminal, as it comes and at its end."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from calibration.decoders.fit import Fitted
from calibration.recipe import Announcements, Calibrated
from rtdecode.bundle import Bundle
from rtdecode.metrics import DECODER_ROW_NOTE, Metrics, decoder_row, verdict

COLOURS = {"go": "green", "no-go": "red", "not tested": "yellow"}


def announcements(console: Console) -> Announcements:
    """Return what prints the verdict and the place of the bundle as soon as they are known."""

    def judged(fitted: Fitted) -> None:
        print_verdict(fitted.metrics, fitted.labels.classes, console)

    def servable(bundle: Bundle) -> None:
        console.print(
            f"[bold]ready to serve:[/] rtdecode serve --bundle {bundle.path}\n"
            "[grey58]comparisons and the report follow; if the decoder then fails its last check, "
            "the bundle is withdrawn[/]",
            soft_wrap=True,
        )

    return Announcements(judged, servable)


def print_verdict(metrics: Metrics, classes: Sequence[str], console: Console) -> None:
    """Print the one line that an operator acts on."""
    found = verdict(metrics, classes)
    console.print(f"[bold {COLOURS[found.outcome]}]{found.sentence}[/]")


def print_summary(result: Calibrated, console: Console) -> None:
    """Print what an operator wants to know, the verdict last."""
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
    console.print(f"[bold]look at {path / 'report.html'} before you use it[/]", soft_wrap=True)
    if manifest.metrics is None:
        return
    grid = Table(box=None, header_style="grey58")
    for column in ("held out", "kind", "blocks", "95 %", "decisions", "volumes"):
        grid.add_column(column, justify="left" if column in {"held out", "kind"} else "right")
    chosen = () if result.fitted is None else result.fitted.chosen.parts
    for place, one in enumerate((decoder_row(manifest.metrics), *manifest.metrics.comparison)):
        low, high = one.accuracy.interval_95_block
        grid.add_row(
            one.name,
            f"{one.kind}, chosen" if one.name in chosen else one.kind,
            f"{one.accuracy.block:.0%}",
            f"{low:.0%}-{high:.0%}",
            f"{one.accuracy.window:.0%}",
            f"{one.accuracy.volume:.0%}",
            style="bold" if place == 0 else "",
        )
    console.print(grid)
    for read in manifest.metrics.read_outs:
        console.print(
            f"{read.name}: {read.accuracy:.0%} of decisions right, log-loss {read.log_loss:.2f}",
            style="bold" if read.kind == manifest.read_out else "",
        )
    console.print(f"[grey58]{manifest.metrics.split}[/]")
    console.print(f"[grey58]{DECODER_ROW_NOTE}[/]")
    for note in manifest.metrics.notes:
        console.print(f"[grey58]{note}[/]")
    print_verdict(manifest.metrics, manifest.classes, console)
