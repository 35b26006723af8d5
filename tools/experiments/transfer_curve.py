#!/usr/bin/env python3
"""Compare a network that was pretrained on other tasks with the same network from scratch.

Subjects are built from real HCP betas of the working-memory task (body, faces, places, tools; the
published weights know none of these states). Each beta is painted into its parcel. Noise is added:
real resting-state fluctuations of the parcels and spatially smooth noise, together `--noise` times
the signal's amplitude. Decoders learn from 1, 3, 5 and 10 subjects and are tested on ten others,
volume by volume; chance is 25 %. There are several draws of training subjects, and fewer for slow
decoders.

  transfer_curve.py --betas FOLDER --parcels FOLDER --out transfer.json --plot transfer.png
      --betas: the folder of HCP_example_taskactivations_data.h5 and HCP_example_restrun1_*.h5;
      --parcels: the folder of MNI_Glasser_HCP_v1.0.nii.gz. Import the published weights first.

  transfer_curve.py --out transfer.json --plot transfer.png
      only draws the results that are there

  transfer_curve.py --simulated --out simulated.json --plot simulated.png
      the same comparison in simulated people, with the weights that rtdecode ships, by minutes of
      own calibration and by training people (see simulated_transfer.py). For the controls, give
      --permuted FILE and --unrelated FILE from `pretrain_simulated.py --control ...`

It takes hours on a CPU and writes each result at once. Started again, it continues.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hcp_people import CLASSES, HcpPeople
from rtdecode.types import Bool, Float32, Float64

if TYPE_CHECKING:
    from calibration.data.labels import Labels
    from calibration.progress import Progress

N_TRAIN = (1, 3, 5, 10)
N_TEST = 10
BLOCKS, VOLUMES = 2, 4
"""Blocks of each class and volumes of each block, in every subject."""
LAYER = 10
"""The convolution whose features the heads use."""
DRAWS = 5
SLOW_DRAWS = {"published, last layers fine-tuned": 2, "from scratch": 1}
SCRATCH_EPOCHS = 12
Intervals: TypeAlias = dict[str, dict[int, tuple[float, float, float]]]
"""Mean, lower and upper limit of the 95 % interval by decoder and number of subjects."""


@dataclass(frozen=True)
class Cohort:
    """The examples of all subjects."""

    volumes: Float32
    """The voxels, (n, V)."""
    parcels: Float32
    """Means of the parcels, in which the signal was made, (n, 360)."""
    label: NDArray[np.int64]
    block: NDArray[np.int64]
    subject: NDArray[np.int64]
    mask: Bool
    """Voxels of the parcels, (91, 109, 91)."""


Decode: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.int64], int], Float64]
"""From training rows, test rows and a seed to the test rows' log-probabilities, (n, K)."""


def build(betas: Path, parcels: Path, noise: float, seed: int) -> Cohort:
    """Make the examples of all subjects."""
    people = HcpPeople.load(betas, parcels, noise)
    rng = np.random.default_rng(seed)
    rows: list[Float32] = []
    keys: list[tuple[int, int, int]] = []
    for subject in range(people.n_people):
        # Training subjects have the background of the run's first half, and test subjects that of
        # the second half, so that they share none.
        second_half = subject >= people.n_people - N_TEST
        examples = people.examples(subject, rng, BLOCKS, VOLUMES, second_half=second_half)
        for volume, c, block in examples:
            rows.append(volume)
            keys.append((c, subject * BLOCKS * len(CLASSES) + block, subject))
    volumes = np.stack(rows)
    labels, blocks, subjects = np.array(keys).T
    return Cohort(volumes, people.parcel_means(volumes), labels, blocks, subjects, people.mask)


def decoders(cohort: Cohort, progress: "Progress") -> dict[str, Decode]:
    """Return the decoders by name."""
    import torch
    from torch import nn

    from calibration.budget import Budget
    from calibration.compute import best_device
    from calibration.decoders.finetune import TuningSettings, from_scratch, tune
    from calibration.decoders.lda import fit_lda
    from calibration.networks import DeepLight
    from calibration.networks.features import network_features
    from calibration.weights.pretrained import load_pretrained
    from rtdecode.clock import SystemClock

    published = load_pretrained("deeplight-2d").network
    device = best_device()
    torch.manual_seed(0)
    blank = DeepLight(published.grid_shape, len(CLASSES))
    for convolution in blank.convolutions:
        nn.init.kaiming_normal_(convolution.get_parameter("weight"), nonlinearity="relu")
    cache: dict[int, Float32] = {}

    def linear(features: Callable[[], Float32]) -> Decode:
        def decode(rows: NDArray[np.int64], test: NDArray[np.int64], _seed: int) -> Float64:
            x = features()
            return fit_lda(x[rows], _labels(cohort, rows)).log_probabilities(x[test])

        return decode

    def convolution_features(network: DeepLight, key: int) -> Float32:
        if key not in cache:
            features = network_features(
                network, cohort.volumes, cohort.mask, (LAYER,), progress, device
            )
            cache[key] = features[LAYER]
        return cache[key]

    def tuned(settings: Callable[[int], TuningSettings], network: DeepLight) -> Decode:
        def decode(rows: NDArray[np.int64], test: NDArray[np.int64], seed: int) -> Float64:
            tuned_decoder = tune(
                network,
                cohort.volumes[rows],
                _labels(cohort, rows),
                cohort.mask,
                settings(seed),
                Budget(None, SystemClock()),
                device,
                progress,
            )
            return tuned_decoder.log_probabilities(cohort.volumes[test])

        return decode

    return {
        "360 parcel means, LDA (where the signal is)": linear(lambda: cohort.parcels),
        "voxels, LDA": linear(lambda: cohort.volumes),
        f"published, LDA on convolution {LAYER}": linear(
            partial(convolution_features, published, 0)
        ),
        f"random weights, LDA on convolution {LAYER}": linear(
            partial(convolution_features, blank, 1)
        ),
        "published, last layers fine-tuned": tuned(
            lambda seed: TuningSettings(convolutions=2, rate=3e-4, copies=1, seed=seed), published
        ),
        "from scratch": tuned(lambda seed: from_scratch(SCRATCH_EPOCHS, seed), blank),
    }


def _labels(cohort: Cohort, rows: NDArray[np.int64]) -> "Labels":
    from calibration.data.labels import Labels
    from rtdecode.events import Block

    blocks = tuple(Block("", 0.0, 0.0) for _ in range(int(cohort.block.max()) + 1))
    return Labels(
        classes=CLASSES,
        label=cohort.label[rows],
        block=cohort.block[rows],
        rest=np.zeros(len(rows), dtype=bool),
        run=cohort.subject[rows],
        acquired_s=100.0 * np.arange(len(rows), dtype=np.float64),  # too far apart for neighbours
        blocks=blocks,
        lag_s=0.0,
    )


def measure(options: argparse.Namespace) -> None:
    """Measure the results that are missing, fast ones first."""
    import torch
    from rich.console import Console

    from calibration.progress import bars

    torch.set_num_threads(1)
    console = Console()
    results = _read(options.out)
    with console.status("build the subjects"):
        cohort = build(options.betas, options.parcels, options.noise, options.seed)
    console.print(f"{len(cohort.label)} examples of {cohort.volumes.shape[1]} voxels")
    n_subjects = int(cohort.subject.max()) + 1
    test = np.flatnonzero(cohort.subject >= n_subjects - N_TEST)
    rng = np.random.default_rng(options.seed)
    orders = [rng.permutation(n_subjects - N_TEST) for _ in range(DRAWS)]
    with bars(console) as progress:
        for name, decode in decoders(cohort, progress).items():
            if options.only and name not in options.only:
                continue
            for n_train in N_TRAIN:
                for draw in range(SLOW_DRAWS.get(name, DRAWS)):
                    key = f"{name}|{n_train}|{draw}"
                    if key in results:
                        continue
                    rows = np.flatnonzero(np.isin(cohort.subject, orders[draw][:n_train]))
                    decisions = decode(rows, test, draw).argmax(axis=1)
                    right = decisions == cohort.label[test]
                    results[key] = [
                        float(right[cohort.subject[test] == s].mean())
                        for s in np.unique(cohort.subject[test])
                    ]
                    options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
                    console.print(f"{key}: {np.mean(results[key]):.0%}")


def simulated(options: argparse.Namespace) -> None:
    """Measure the results that are missing in the simulated worlds, and show all."""
    import torch
    from rich.console import Console

    import simulated_transfer as worlds
    import simulated_transfer_plot as plots
    from calibration.progress import bars
    from calibration.weights import EMBEDDED, embedded

    torch.set_num_threads(1)
    results = _read(options.out)
    is_shipped = options.weights in EMBEDDED
    pretrained = embedded(options.weights) if is_shipped else Path(options.weights)
    weights = {
        worlds.SHARED: {"B pretrained": pretrained, "F labels permuted": options.permuted},
        worlds.UNRELATED: {"B pretrained": options.unrelated, "B of the shared world": pretrained},
        worlds.NULL: {"B pretrained": pretrained},
    }
    console = Console()
    with bars(console) as progress:
        for name, networks in weights.items():
            if options.only and name not in options.only:
                continue
            available = {arm: path for arm, path in networks.items() if path is not None}
            world = worlds.build(name, progress)
            for key, run_measurement in worlds.measurements(world, available, progress):
                if key in results:
                    continue
                shares = run_measurement()
                results = {**_read(options.out), key: shares}
                options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
                console.print(f"{key}: {np.mean(shares):.0%}")
    plots.show(results, options.plot)


def _read(path: Path) -> dict[str, list[float]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def summary(results: dict[str, list[float]]) -> Intervals:
    """Return the mean and its 95 % interval, by bootstrap over test subjects."""
    draws_of: dict[str, dict[int, list[list[float]]]] = {}
    for key, values in results.items():
        name, n_train, _ = key.split("|")
        draws_of.setdefault(name, {}).setdefault(int(n_train), []).append(values)
    rng = np.random.default_rng(0)
    intervals: Intervals = {}
    for name, by_number in draws_of.items():
        for number, draws in sorted(by_number.items()):
            subjects = np.mean(draws, axis=0)
            boot = subjects[rng.integers(0, len(subjects), (4000, len(subjects)))].mean(axis=1)
            low, high = np.percentile(boot, (2.5, 97.5))
            mean = float(subjects.mean())
            intervals.setdefault(name, {})[number] = mean, float(low), float(high)
    return intervals


def show(results: dict[str, list[float]], plot: Path | None) -> None:
    """Print the table, and draw it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    intervals = summary(results)
    table = Table("decoder", box=box.SIMPLE, title="share of new subjects' volumes, chance 25 %")
    for n_train in N_TRAIN:
        table.add_column(f"{n_train} training", justify="right")
    for name, by_number in intervals.items():
        cells = (by_number.get(n) for n in N_TRAIN)
        table.add_row(
            name, *("" if c is None else f"{c[0]:.0%} ({c[1]:.0%}-{c[2]:.0%})" for c in cells)
        )
    Console().print(table)
    if plot is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 4.6), layout="constrained")
    axes = figure.subplots()
    colours = ("#9aa3ad", "#c98b2b", "#1f5fa8", "#7fb0df", "#2a8f5b", "#c0392b")
    for n, (name, by_number) in enumerate(intervals.items()):
        x = np.array(list(by_number)) * (1 + 0.012 * (n - 2.5))
        y, low, high = np.array(list(by_number.values())).T * 100
        style = "--" if "where" in name else "-"
        axes.errorbar(
            x,
            y,
            [y - low, high - y],
            fmt=f"o{style}",
            color=colours[n % 6],
            label=name,
            capsize=3,
            lw=1.8,
            ms=5,
        )
    axes.axhline(25, color="0.6", lw=1, ls=":")
    axes.text(1, 25.8, "chance", color="0.45", fontsize=9)
    axes.set_xscale("log")
    axes.set_xticks(N_TRAIN, [str(n) for n in N_TRAIN])
    axes.minorticks_off()
    axes.set(xlabel="training subjects", ylabel="volumes of 10 new subjects decoded right, %")
    axes.set_ylim(18, 102)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(plot, dpi=140)


def main() -> None:
    """Measure, and show all results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--betas", type=Path, help="folder of the HCP betas and rest run")
    parser.add_argument("--parcels", type=Path, help="folder of the parcels in MNI space")
    parser.add_argument("--out", type=Path, required=True, help="file of the results, JSON")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    parser.add_argument(
        "--noise", type=float, default=2.0, help="noise amplitude over the signal's (2)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of subjects and draws (0)")
    parser.add_argument("--only", action="append", help="name of a decoder (or simulated world)")
    parser.add_argument("--simulated", action="store_true", help="use simulated people")
    parser.add_argument(
        "--weights", default="deeplight-2d-4mm-sim", help="simulated: weights of arm B"
    )
    parser.add_argument("--permuted", type=Path, help="simulated: weights of arm F")
    parser.add_argument("--unrelated", type=Path, help="simulated: weights of unrelated people")
    options = parser.parse_args()
    if options.simulated:
        simulated(options)
        return
    if (options.betas is None) != (options.parcels is None):
        parser.error("give both --betas and --parcels, or neither to draw only")
    if options.betas is not None:
        measure(options)
    show(_read(options.out), options.plot)


if __name__ == "__main__":
    main()
