"""Tables and picture of the results of `transfer_curve.py --simulated`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from rtdecode.types import Float64
from simulated_transfer import CHANCE, LAYER, MINUTES, N_TRAIN, NULL, SHARED, UNRELATED

Results = Mapping[str, list[float]]
AXES = {"minutes": tuple(MINUTES), "people": N_TRAIN}
B = f"B pretrained, convolution {LAYER}"
TUNED = "B pretrained, fine-tuned"
F = f"F labels permuted, convolution {LAYER}"
SHOWN = {
    B: "#1f5fa8",
    f"{B} and the group's prior": "#12355f",
    "D voxels": "#c98b2b",
    "E voxels and the group's prior": "#8a5a10",
    F: "#9b59b6",
    f"G random weights, convolution {LAYER}": "#9aa3ad",
    TUNED: "#5b9bd5",
    "A from scratch": "#c0392b",
}
R = "recurrent"
DRAWS = 4000


def interval(values: list[float] | Float64) -> tuple[float, float, float]:
    """Return the mean and its 95 % interval, by bootstrap over subjects."""
    subjects = np.asarray(values)
    rng = np.random.default_rng(0)
    boot = subjects[rng.integers(0, len(subjects), (DRAWS, len(subjects)))].mean(axis=1)
    low, high = np.percentile(boot, (2.5, 97.5))
    return float(subjects.mean()), float(low), float(high)


def show(results: Results, plot: Path | None) -> None:
    """Print the accuracies and differences, and draw them."""
    console = Console()
    for world in (SHARED, UNRELATED, NULL):
        for axis, values in AXES.items():
            arms = _arms(results, world, axis)
            if arms:
                console.print(_table(results, world, axis, values, arms))
    console.print(_differences(results))
    if plot is not None:
        draw(results, plot)


def _arms(results: Results, world: str, axis: str) -> list[str]:
    keys = [key.split("|") for key in results]
    return sorted({arm for w, arm, a, _ in keys if (w, a) == (world, axis)})


def _table(
    results: Results, world: str, axis: str, values: tuple[int, ...], arms: list[str]
) -> Table:
    what = {
        "minutes": "minutes of own calibration",
        "people": "training people, no own calibration",
    }
    table = Table(f"{world}: {what[axis]}", box=box.SIMPLE)
    for value in values:
        table.add_column(str(value), justify="right")
    for arm in arms:
        cells = []
        for value in values:
            shares = results.get(f"{world}|{arm}|{axis}|{value}")
            if shares is None:
                cells.append("")
            else:
                mean, low, high = interval(shares)
                cells.append(f"{mean:.0%} ({low:.0%}-{high:.0%})")
        table.add_row(arm, *cells)
    return table


def _differences(results: Results) -> Table:
    """Return the differences that the claim rests on, with their intervals."""
    table = Table("difference in points, 95 % interval over subjects", box=box.SIMPLE)
    for minutes in MINUTES:
        table.add_column(f"{minutes} min", justify="right")
    zero_shot = f"{SHARED}|{B}|people|{N_TRAIN[-1]}"
    prior = f"{B} and the group's prior"
    scratch, random = "A from scratch", f"G random weights, convolution {LAYER}"
    pairs = (
        ("B over A, scratch", SHARED, B, scratch),
        ("B fine-tuned over A, scratch", SHARED, TUNED, scratch),
        ("B over F, labels permuted", SHARED, B, F),
        ("B over G, random weights", SHARED, B, random),
        ("B over D, voxels", SHARED, B, "D voxels"),
        ("B with the prior over C, zero-shot", SHARED, prior, None),
        ("B with the prior over E", SHARED, prior, "E voxels and the group's prior"),
        ("recurrent features: B over F", SHARED, f"B pretrained, {R}", f"F labels permuted, {R}"),
        ("recurrent features: B over G", SHARED, f"B pretrained, {R}", f"G random weights, {R}"),
        ("unrelated people: B over A", UNRELATED, B, scratch),
        ("unrelated people: B fine-tuned over A", UNRELATED, TUNED, scratch),
        ("unrelated people: B over G", UNRELATED, B, random),
        (
            "unrelated, recurrent: B over G",
            UNRELATED,
            f"B pretrained, {R}",
            f"G random weights, {R}",
        ),
    )
    for name, world, one, other in pairs:
        cells = []
        for minutes in MINUTES:
            ours = results.get(f"{world}|{one}|minutes|{minutes}")
            theirs = results.get(
                zero_shot if other is None else f"{world}|{other}|minutes|{minutes}"
            )
            if ours is None or theirs is None:
                cells.append("")
                continue
            mean, low, high = interval(100 * (np.array(ours) - np.array(theirs)))
            cells.append(f"{mean:+.1f} ({low:+.1f} to {high:+.1f})")
        table.add_row(name, *cells)
    return table


def draw(results: Results, path: Path) -> None:
    """Draw accuracy by minutes and by training people, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.6, 4.5), layout="constrained")
    labels = {
        "minutes": "minutes of own calibration",
        "people": "training subjects, no own calibration",
    }
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (axis, values) in zip(panels, AXES.items(), strict=True):
        for n, (arm, colour) in enumerate(SHOWN.items()):
            points = [
                (v, *interval(shares))
                for v in values
                if (shares := results.get(f"{SHARED}|{arm}|{axis}|{v}")) is not None
            ]
            if not points:
                continue
            x, y, low, high = np.array(points).T
            y, low, high = 100 * y, 100 * low, 100 * high
            style = "--" if "prior" in arm else "-"
            panel.errorbar(
                x * (1 + 0.012 * (n - 3)),
                y,
                [y - low, high - y],
                fmt=f"o{style}",
                color=colour,
                label=arm,
                capsize=3,
                lw=1.8,
                ms=4.5,
            )
        panel.axhline(100 * CHANCE, color="0.6", lw=1, ls=":")
        panel.set_xscale("log")
        panel.set_xticks(values, [str(v) for v in values])
        panel.minorticks_off()
        panel.set_xlabel(labels[axis])
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].text(2, 100 * CHANCE + 0.6, "chance", color="0.45", fontsize=9)
    panels[0].set_ylabel("single volumes decoded right, %")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=9, loc="outside right upper")
    figure.savefig(path, dpi=140)
