#!/usr/bin/env python3
"""Is a network pretrained on other tasks worth more than the same network from scratch?

Subjects are built from real HCP betas of the working-memory task (body, faces, places, tools: no
state that the published weights know), painted into the parcels they come from, plus noise: real
resting-state fluctuations of the parcels, and spatially smooth noise, together `--noise` times the
signal's amplitude. Decoders learn from 1, 3, 5 and 10 subjects, and are tested on ten others, volume
by volume; chance is 25 %. Several draws of training subjects; what takes long has fewer.

  tools/experiments/transfer_curve.py --betas FOLDER --parcels FOLDER --out transfer.json --plot transfer.png
      FOLDER with HCP_example_taskactivations_data.h5 and HCP_example_restrun1_*.h5, and FOLDER with
      MNI_Glasser_HCP_v1.0.nii.gz; the published weights must have been imported
  tools/experiments/transfer_curve.py --out transfer.json --plot transfer.png
      only draw again what was measured

  tools/experiments/transfer_curve.py --simulated --out transfer-simulated.json --plot transfer-simulated.png
      the same question in simulated people, of the weights that rtdecode ships: by minutes of own
      calibration and by training people, with controls (see tools/experiments/simulated_transfer.py); add
      --permuted FILE and --unrelated FILE from `tools/experiments/pretrain_simulated.py --control ...`

It takes hours on a CPU and keeps each result as it comes: started again, it goes on.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtdecode.types import Bool, Float32, Float64

CLASSES = ("body", "faces", "places", "tools")
CONDITIONS = {c: (16 + n, 20 + n) for n, c in enumerate(CLASSES)}
"""Of the 24, in 0-back and in 2-back."""
N_TRAIN = (1, 3, 5, 10)
N_TEST = 10
BLOCKS, VOLUMES = 2, 4
"""Blocks of each class and volumes of each block, in every subject."""
BLOCK_VOLUMES, APART_VOLUMES = 38, 8
"""A block of the HCP and the distance of its examples, in volumes of 0.72 s."""
SMOOTH_SIGNAL, SMOOTH_NOISE = 1.0, 1.5
"""Gaussian sigma, voxels of 2 mm."""
LAYER = 10
DRAWS = 5
SLOW_DRAWS = {"published, last layers fine-tuned": 2, "from scratch": 1}
SCRATCH_EPOCHS = 12


@dataclass(frozen=True)
class Cohort:
    """All subjects' examples."""

    volumes: Float32
    """(n, V)"""
    parcels: Float32
    """(n, 360) means of the parcels: the very space in which the signal was made."""
    label: NDArray[np.int64]
    block: NDArray[np.int64]
    subject: NDArray[np.int64]
    mask: Bool


def build(betas: Path, parcels: Path, noise: float, seed: int) -> Cohort:
    """Make the subjects."""
    import h5py
    import nibabel as nib
    from scipy.ndimage import gaussian_filter

    from calibration.weights import DEEPLIGHT_2D

    with h5py.File(betas / "HCP_example_taskactivations_data.h5") as file:
        found = np.asarray(_largest(file))
    with h5py.File(next(betas.glob("HCP_example_restrun1_*.h5"))) as file:
        rest = np.asarray(_largest(file))
    found = np.moveaxis(found, [found.shape.index(n) for n in (360, 24, 30)], [0, 1, 2])
    rest = rest if rest.shape[0] == 360 else rest.T
    rest = (rest - rest.mean(axis=1, keepdims=True)) / rest.std(axis=1, keepdims=True)

    image = nib.load(parcels / "MNI_Glasser_HCP_v1.0.nii.gz")
    shape = (91, 109, 91)
    to_voxel = np.linalg.inv(image.affine) @ np.array(DEEPLIGHT_2D.affine)
    place = np.rint(to_voxel[:3, :3] @ np.indices(shape).reshape(3, -1) + to_voxel[:3, 3:])
    label = np.asarray(image.dataobj)[tuple(place.astype(int))].astype(int).reshape(shape)
    number = np.where(label > 1000, label - 1000 + 179, label - 1)  # -1 is outside

    def painted(values: Float64, sigma: float) -> Float64:
        volume = np.append(values, 0.0)[number]
        return gaussian_filter(volume, sigma)

    mask = gaussian_filter((number >= 0).astype(float), SMOOTH_SIGNAL) > 0.2
    rng = np.random.default_rng(seed)
    rows: list[Float32] = []
    of: list[tuple[int, int, int]] = []
    n_subjects = found.shape[2]
    half = rest.shape[1] // 2
    for subject in range(n_subjects):
        pattern = np.stack([found[:, list(CONDITIONS[c]), subject].mean(axis=1) for c in CLASSES])
        common = pattern.mean(axis=0)
        signals = [painted(each - common + common / 2, SMOOTH_SIGNAL) for each in pattern]
        amplitude = float(np.mean([signal[mask].std() for signal in signals]))
        order = np.concatenate([rng.permutation(len(CLASSES)) for _ in range(BLOCKS)])
        # Training subjects have their background from the run's first half, test subjects from the
        # second, so that neither knows the other's.
        first = half if subject >= n_subjects - N_TEST else 0
        start = first + int(rng.integers(0, half))
        for n, c in enumerate(order):
            for v in range(VOLUMES):
                t = start + n * BLOCK_VOLUMES + 8 + v * APART_VOLUMES
                background = painted(rest[:, first + (t - first) % half], SMOOTH_SIGNAL)
                white = gaussian_filter(rng.standard_normal(shape), SMOOTH_NOISE)
                parts = (each / each[mask].std() for each in (background, white))
                volume = signals[c] + noise * amplitude * sum(parts) / np.sqrt(2)
                rows.append((volume[mask] / (noise * amplitude)).astype(np.float32))
                of.append((int(c), subject * len(order) + n, subject))
    volumes = np.stack(rows)
    inside = number[mask]
    means = np.stack([volumes[:, inside == p].mean(axis=1) for p in range(360) if p in inside], 1)
    labels, blocks, subjects = np.array(of).T
    return Cohort(volumes, means, labels, blocks, subjects, mask)


def _largest(file) -> object:  # noqa: ANN001 - h5py has no types
    found = []
    file.visititems(lambda _, item: found.append(item) if hasattr(item, "shape") else None)
    return max(found, key=lambda item: item.size)


def decoders(cohort: Cohort, told: Callable[[str, int, int], None]) -> dict[str, Callable]:
    """Return each way to a decoder: from training rows to predictions for all rows."""
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
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    kept: dict[int, Float32] = {}

    def linear(features: Callable[[], Float32]) -> Callable:
        def decode(rows: NDArray[np.int64], test: NDArray[np.int64], _seed: int) -> object:
            x = features()
            return fit_lda(x[rows], _labels(cohort, rows)).log_probabilities(x[test])

        return decode

    def of_network(network: DeepLight, name: int) -> Float32:
        if name not in kept:
            found = network_features(network, cohort.volumes, cohort.mask, (LAYER,), told, device)
            kept[name] = found[LAYER]
        return kept[name]

    def tuned(settings: Callable[[int], TuningSettings], network: DeepLight) -> Callable:
        def decode(rows: NDArray[np.int64], test: NDArray[np.int64], seed: int) -> object:
            found = tune(
                network,
                cohort.volumes[rows],
                _labels(cohort, rows),
                cohort.mask,
                settings(seed),
                Budget(None, SystemClock()),
                device,
                told,
            )
            return found.log_probabilities(cohort.volumes[test])

        return decode

    return {
        "360 parcel means, LDA (where the signal is)": linear(lambda: cohort.parcels),
        "voxels, LDA": linear(lambda: cohort.volumes),
        f"published, LDA on convolution {LAYER}": linear(partial(of_network, published, 0)),
        f"random weights, LDA on convolution {LAYER}": linear(partial(of_network, blank, 1)),
        "published, last layers fine-tuned": tuned(
            lambda seed: TuningSettings(convolutions=2, rate=3e-4, copies=1, seed=seed), published
        ),
        "from scratch": tuned(lambda seed: from_scratch(SCRATCH_EPOCHS, seed), blank),
    }


def _labels(cohort: Cohort, rows: NDArray[np.int64]) -> object:
    from calibration.data.blocks import Block
    from calibration.data.labels import Labels

    blocks = tuple(Block("", 0.0, 0.0) for _ in range(int(cohort.block.max()) + 1))
    return Labels(
        classes=CLASSES,
        label=cohort.label[rows],
        block=cohort.block[rows],
        rest=np.zeros(len(rows), dtype=bool),
        run=cohort.subject[rows],
        acquired_s=100.0 * np.arange(len(rows)),  # too far apart to be taken for neighbours
        blocks=blocks,
        lag_s=0.0,
    )


def measure(given: argparse.Namespace) -> None:
    """Fill in the results that are not there yet, cheap ones first."""
    import torch
    from rich.console import Console

    from calibration.progress import bars

    torch.set_num_threads(1)
    console = Console()
    results = _read(given.out)
    with console.status("build the subjects"):
        cohort = build(given.betas, given.parcels, given.noise, given.seed)
    console.print(f"{len(cohort.label)} examples of {cohort.volumes.shape[1]} voxels")
    n_subjects = int(cohort.subject.max()) + 1
    test = np.flatnonzero(cohort.subject >= n_subjects - N_TEST)
    rng = np.random.default_rng(given.seed)
    orders = [rng.permutation(n_subjects - N_TEST) for _ in range(DRAWS)]
    with bars(console) as progress:
        ways = decoders(cohort, progress)
        for name, decode in ways.items():
            if given.only and name not in given.only:
                continue
            for n_train in N_TRAIN:
                for draw in range(SLOW_DRAWS.get(name, DRAWS)):
                    key = f"{name}|{n_train}|{draw}"
                    if key in results:
                        continue
                    rows = np.flatnonzero(np.isin(cohort.subject, orders[draw][:n_train]))
                    decided = np.asarray(decode(rows, test, draw)).argmax(axis=1)
                    right = decided == cohort.label[test]
                    results[key] = [
                        float(right[cohort.subject[test] == s].mean())
                        for s in np.unique(cohort.subject[test])
                    ]
                    given.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
                    console.print(f"{key}: {np.mean(results[key]):.0%}")


def simulated(given: argparse.Namespace) -> None:
    """Measure what is missing in the simulated worlds, and show it."""
    import torch
    from rich.console import Console

    import simulated_transfer as worlds
    import simulated_transfer_plot as plots
    from calibration.progress import bars
    from calibration.weights import EMBEDDED, embedded

    torch.set_num_threads(1)
    results = _read(given.out)
    shipped = given.weights in EMBEDDED
    pretrained = embedded(given.weights) if shipped else Path(given.weights)
    weights = {
        worlds.SHARED: {"B pretrained": pretrained, "F labels permuted": given.permuted},
        worlds.UNRELATED: {"B pretrained": given.unrelated, "B of the shared world": pretrained},
        worlds.NULL: {"B pretrained": pretrained},
    }
    console = Console()
    with bars(console) as progress:
        for name, networks in weights.items():
            if given.only and name not in given.only:
                continue
            there = {arm: path for arm, path in networks.items() if path is not None}
            world = worlds.build(name, progress)
            for key, measure_it in worlds.measurements(world, there, progress):
                if key in results:
                    continue
                found = measure_it()
                results = {**_read(given.out), key: found}
                given.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
                console.print(f"{key}: {np.mean(found):.0%}")
    plots.show(results, given.plot)


def _read(path: Path) -> dict[str, list[float]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def summary(results: dict[str, list[float]]) -> dict[str, dict[int, tuple[float, float, float]]]:
    """Return mean and 95 % interval (bootstrap over test subjects) by decoder and number."""
    found: dict[str, dict[int, list[list[float]]]] = {}
    for key, values in results.items():
        name, n_train, _ = key.split("|")
        found.setdefault(name, {}).setdefault(int(n_train), []).append(values)
    rng = np.random.default_rng(0)
    made: dict[str, dict[int, tuple[float, float, float]]] = {}
    for name, of in found.items():
        for n_train, draws in sorted(of.items()):
            subjects = np.mean(draws, axis=0)
            boot = subjects[rng.integers(0, len(subjects), (4000, len(subjects)))].mean(axis=1)
            low, high = np.percentile(boot, (2.5, 97.5))
            made.setdefault(name, {})[n_train] = float(subjects.mean()), float(low), float(high)
    return made


def show(results: dict[str, list[float]], plot: Path | None) -> None:
    """Print the table, and draw it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    made = summary(results)
    table = Table("decoder", box=box.SIMPLE, title="share of new subjects' volumes, chance 25 %")
    for n_train in N_TRAIN:
        table.add_column(f"{n_train} training", justify="right")
    for name, of in made.items():
        cells = (of.get(n) for n in N_TRAIN)
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
    for n, (name, of) in enumerate(made.items()):
        x = np.array(list(of)) * (1 + 0.012 * (n - 2.5))
        y, low, high = np.array(list(of.values())).T * 100
        style = "--" if "where" in name else "-"
        axes.errorbar(x, y, [y - low, high - y], fmt=f"o{style}", color=colours[n % 6], label=name,
                      capsize=3, lw=1.8, ms=5)  # fmt: skip
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
    """Measure what is asked for, and show everything that is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--betas", type=Path, help="folder with the HCP betas and rest run")
    parser.add_argument("--parcels", type=Path, help="folder with the parcels in MNI space")
    parser.add_argument("--out", type=Path, required=True, help="results, JSON")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    parser.add_argument("--noise", type=float, default=2.0, help="amplitude over the signal's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", action="append", help="measure only the decoder (or simulated world) of this name"
    )
    parser.add_argument("--simulated", action="store_true", help="simulated people instead")
    parser.add_argument("--weights", default="deeplight-2d-4mm-sim", help="name or file, for B")
    parser.add_argument("--permuted", type=Path, help="control weights, for F")
    parser.add_argument("--unrelated", type=Path, help="weights of the world without sharing")
    given = parser.parse_args()
    if given.simulated:
        simulated(given)
        return
    if (given.betas is None) != (given.parcels is None):
        parser.error("give both --betas and --parcels, or neither to draw again")
    if given.betas is not None:
        measure(given)
    show(_read(given.out), given.plot)


if __name__ == "__main__":
    main()
