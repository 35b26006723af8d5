#!/usr/bin/env python3
"""Measure what other people's data are worth: accuracy by own blocks and by number of others.

People are made from real HCP betas (hcp_people.py): body, faces, places, tools, which the published
weights do not know. Ten people are tested; the others are drawn from the remaining twenty and have
two blocks of each class. A tested person has eight blocks of each class: the first ones are learnt
from, the last four are decoded, volume by volume; chance is 25 %.

  learning_curve.py --betas FOLDER --parcels FOLDER --out curve.json --plot curve.png
      --betas: the folder of HCP_example_taskactivations_data.h5 and HCP_example_restrun1_*.h5;
      --parcels: the folder of MNI_Glasser_HCP_v1.0.nii.gz. Import the published weights first.

Each result is written at once; started again, the command continues. Some 10 minutes on two cores.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn

from calibration.compute import best_device, one_thread
from calibration.data.labels import Labels
from calibration.decoders.prior import ClassMeans, PoolRule
from calibration.group.learning import LearningSplit, learning_curves, own_logits, split_person
from calibration.group.make_study import make_study
from calibration.group.person import Person, PersonData
from calibration.group.selection_cache import WorkFolder
from calibration.networks import DeepLight
from calibration.networks.features import VOXELS, network_features
from calibration.priors.study_prior import pool_rule, study_priors
from calibration.progress import Progress, bars
from calibration.weights.pretrained import Pretrained, describe_new_study, load_pretrained
from calibration.weights.study import Study
from hcp_people import CLASSES, HcpPeople
from rtdecode.events import Block
from rtdecode.report_kit import count
from rtdecode.types import Float32

N_TEST, TEST_BLOCKS, OTHER_BLOCKS, VOLUMES = 10, 8, 2, 4
OTHERS = (1, 3, 10, 20)
DRAWS = 3
NOISE = 2.0
RANDOM = 99
"""Layer number under which the features of the network with random weights are stored."""
Results = dict[str, list[float]]


@dataclass(frozen=True)
class World:
    """The people, with their features on disk."""

    folder: Path
    layer: int
    mask: NDArray[np.bool_]
    n_people: int

    def load(self, person: int, layers: tuple[int, ...] | None = None) -> PersonData:
        """Read a person's data."""
        with np.load(self.folder / f"person-{person}.npz") as file:
            label, block = file["label"], file["block"]
            wanted = layers or (self.layer, VOXELS)
            features = {layer: file[f"features{layer}"].astype(np.float32) for layer in wanted}
        return PersonData(self.mask, labels_of(label, block), features)

    def person(self, number: int) -> Person:
        """Return a person for `make_study`."""
        return Person(f"person {number}", f"p{number}", (), partial(self.load, number))


def labels_of(label: NDArray[np.int64], block: NDArray[np.int64]) -> Labels:
    """Return the labels of examples in temporal order, too far apart to be neighbours."""
    n_blocks = int(block.max()) + 1
    return Labels(
        classes=CLASSES,
        label=label,
        block=block,
        rest=np.zeros(len(label), dtype=bool),
        run=np.zeros(len(label), dtype=np.int64),
        acquired_s=100.0 * np.arange(len(label), dtype=np.float64),
        blocks=tuple(Block("", 100.0 * n, 100.0 * n + 50) for n in range(n_blocks)),
        lag_s=0.0,
    )


def build(options: argparse.Namespace, pretrained: Pretrained, progress: Progress) -> World:
    """Make the people that are missing in the work folder."""
    people = HcpPeople.load(options.betas, options.parcels, NOISE)
    folder: Path = options.work
    folder.mkdir(parents=True, exist_ok=True)
    layer, device = pretrained.layers[0], best_device()
    random_network = untrained(pretrained.grid_shape)
    for person in range(people.n_people):
        progress("make people", person, people.n_people)
        path = folder / f"person-{person}.npz"
        if path.exists():
            continue
        tested = person >= people.n_people - N_TEST
        rng = np.random.default_rng([options.seed, person])
        n_blocks = TEST_BLOCKS if tested else OTHER_BLOCKS
        rows = list(people.examples(person, rng, n_blocks, VOLUMES, second_half=tested))
        volumes = np.stack([volume for volume, _, _ in rows])
        arrays: dict[str, Float32] = {f"features{VOXELS}": volumes.astype(np.float16)}
        for number, network in ((layer, pretrained.network), (RANDOM, random_network)):
            if number == RANDOM and not tested:
                continue
            found = network_features(network, volumes, people.mask, (layer,), device=device)
            arrays[f"features{number}"] = found[layer].astype(np.float16)
        keys = np.array([(c, block) for _, c, block in rows])
        np.savez(path, allow_pickle=False, label=keys[:, 0], block=keys[:, 1], **arrays)
    progress("make people", people.n_people, people.n_people)
    return World(folder, layer, people.mask, people.n_people)


def untrained(grid_shape: tuple[int, int, int]) -> DeepLight:
    """Return the network with random weights that preserve variance (He)."""
    torch.manual_seed(0)
    network = DeepLight(grid_shape, len(CLASSES))
    for index in range(len(network.convolutions)):
        nn.init.kaiming_normal_(network.convolution(index).weight, nonlinearity="relu")
    return network


def study_of(world: World, pretrained: Pretrained, others: int, draw: int) -> Study:
    """Return the study of some of the people who are not tested."""
    order = np.random.default_rng(draw).permutation(world.n_people - N_TEST)
    people = [world.person(int(n)) for n in order[:others]]
    return make_study(
        people, describe_new_study(pretrained, CLASSES), WorkFolder(world.folder / "study")
    )


def with_study(
    world: World, data: PersonData, split: LearningSplit, study: Study, rule: PoolRule
) -> dict[str, float]:
    """Return the share of right volumes by decoder and own blocks: `pool|1`."""
    priors = {one.layer: one.prior for one in study_priors(study, CLASSES, world.mask)}
    means = {layer: prior for layer, prior in priors.items() if isinstance(prior, ClassMeans)}
    own = {layer: own_logits(layer, features, split) for layer, features in data.features.items()}
    # The features of the study only: products of all would take long.
    selected = {layer: data.features[layer][:, prior.index] for layer, prior in means.items()}
    local = {
        layer: replace(prior, index=np.arange(len(prior.index))) for layer, prior in means.items()
    }
    curves = learning_curves(local, selected, own, split, [rule])[rule]
    truth = data.labels.label[split.test]
    return {
        f"{decoder}|{n_blocks}": float((logits.argmax(axis=1) == truth).mean())
        for n_blocks, by_decoder in curves.items()
        for decoder, logits in by_decoder.items()
    }


def permuted(study: Study) -> Study:
    """Return a study whose class means belong to other classes: a wrong prior."""
    layers = {
        layer: replace(each, means=np.roll(each.means, 1, axis=0))
        for layer, each in study.layers.items()
    }
    return Study(study.about, layers)


def shuffled(data: PersonData, seed: int) -> PersonData:
    """Return a person whose blocks have random classes: a null world."""
    of = data.labels.block_labels()
    order = np.random.default_rng(seed).permutation(of)
    return replace(data, labels=data.labels.with_block_labels(order))


def measurements(
    world: World, pretrained: Pretrained
) -> Iterator[tuple[str, Callable[[], dict[str, list[float]]]]]:
    """Yield the key of each measurement, and what measures it: shares of the tested people."""
    tested = range(world.n_people - N_TEST, world.n_people)

    def collect(shares: Callable[[int], dict[str, float]]) -> dict[str, list[float]]:
        found = [shares(person) for person in tested]
        return {key: [one[key] for one in found] for key in found[0]}

    def of_study(
        others: int, draw: int, *, wrong: bool = False, null: bool = False
    ) -> dict[str, list[float]]:
        study = study_of(world, pretrained, others, draw)
        rule = pool_rule(study)
        used = permuted(study) if wrong else study

        def shares(person: int) -> dict[str, float]:
            data = world.load(person)
            data = shuffled(data, person) if null else data
            return with_study(world, data, split_person(data.labels), used, rule)

        return collect(shares)

    def random_weights(person: int) -> dict[str, float]:
        data = world.load(person, (RANDOM,))
        split = split_person(data.labels)
        truth = data.labels.label[split.test]
        logits = own_logits(RANDOM, data.features[RANDOM], split)
        return {
            f"convolution {world.layer}, own|{n}": float((one.argmax(axis=1) == truth).mean())
            for n, one in logits.items()
        }

    for others in OTHERS:
        for draw in range(1 if others == max(OTHERS) else DRAWS):
            yield f"{others}|{draw}", partial(of_study, others, draw)
    yield "10, wrong|0", partial(of_study, 10, 0, wrong=True)
    yield "10, null|0", partial(of_study, 10, 0, null=True)
    yield "random weights|0", lambda: collect(random_weights)


def interval(
    results: Results, others: str, decoder: str, n_blocks: int
) -> tuple[float, ...] | None:
    """Return mean and 95 % interval over people; each person's share is averaged over draws."""
    draws = [
        values
        for key, values in results.items()
        if key.split("|")[0] == others and key.split("|")[2:] == [decoder, str(n_blocks)]
    ]
    if not draws:
        return None
    people = np.mean(draws, axis=0)
    rng = np.random.default_rng(0)
    boot = people[rng.integers(0, len(people), (4000, len(people)))].mean(axis=1)
    return float(people.mean()), *(float(x) for x in np.percentile(boot, (2.5, 97.5)))


def rows_of(results: Results) -> Iterator[tuple[str, str, str]]:
    """Yield name, number of others and decoder of each row of the table."""
    layer = next(k for k in results if "convolution" in k).split("|")[2]
    yield "voxels, own data", "3", "voxels, own"
    yield f"{layer} data", "3", layer
    yield "the same with random weights", "random weights", layer
    for others in map(str, OTHERS):
        people = count(int(others), "other")
        yield f"{people}: priors with own blocks", others, "priors with own blocks"
        yield f"{people}: pool", others, "pool"
    yield "10 others, classes permuted: pool", "10, wrong", "pool"
    yield "10 others, null world: pool", "10, null", "pool"


def show(results: Results, plot: Path | None) -> None:
    """Print the table, and draw the main rows."""
    counts = sorted({int(key.split("|")[3]) for key in results})
    table = Table("share of volumes, chance 25 %", box=box.SIMPLE)
    for n_blocks in counts:
        table.add_column(f"{n_blocks} own", justify="right")
    for name, others, decoder in rows_of(results):
        cells = [interval(results, others, decoder, n) for n in counts]
        table.add_row(
            name, *("" if c is None else f"{c[0]:.0%} ({c[1]:.0%}-{c[2]:.0%})" for c in cells)
        )
    Console(width=120).print(table)
    if plot is not None:
        draw(results, counts, plot)


def draw(results: Results, counts: list[int], plot: Path) -> None:
    """Draw the learning curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 4.4), layout="constrained")
    axes = figure.subplots()
    colours = (
        "#9aa3ad",
        "#c98b2b",
        "#d9b98a",
        "#7fb0df",
        "#4a86c5",
        "#1f5fa8",
        "#0b3d73",
        "#c0392b",
    )
    names = [
        row for row in rows_of(results) if "priors with" not in row[0] and "null" not in row[0]
    ]
    for k, (name, others, decoder) in enumerate(names):
        points = [(n, interval(results, others, decoder, n)) for n in counts]
        known = [(n + 0.03 * (k - 3.5), *c) for n, c in points if c is not None]
        x, y, low, high = np.array(known).T
        axes.errorbar(
            x,
            100 * y,
            [100 * (y - low), 100 * (high - y)],
            fmt="o--" if "permuted" in name or "random" in name else "o-",
            color="#c0392b" if "permuted" in name else colours[k],
            label=name.removesuffix(": pool"),
            capsize=3,
            lw=1.8,
            ms=4,
        )
    axes.axhline(25, color="0.6", lw=1, ls=":")
    axes.text(0, 26.5, "chance", color="0.45", fontsize=9)
    axes.set(xlabel="own blocks of each class", ylabel="volumes decoded right, %", ylim=(0, 102))
    axes.set_xticks(counts)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(plot, dpi=140)


def main() -> None:
    """Measure what is missing, and show all results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--betas", type=Path, help="folder of the HCP betas and rest run")
    parser.add_argument("--parcels", type=Path, help="folder of the parcels in MNI space")
    parser.add_argument("--out", type=Path, required=True, help="file of the results, JSON")
    parser.add_argument("--plot", type=Path, help="picture to draw")
    parser.add_argument(
        "--work", type=Path, default=Path("learning_curve_work"), help="work folder"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the people (0)")
    options = parser.parse_args()
    results: Results = {}
    if options.out.exists():
        results = json.loads(options.out.read_text(encoding="utf-8"))
    if options.betas is not None:
        pretrained = load_pretrained("deeplight-2d")
        with bars(Console()) as progress, one_thread():
            world = build(options, pretrained, progress)
            todo = list(measurements(world, pretrained))
            for done, (key, measure) in enumerate(todo):
                progress("measure", done, len(todo))
                if any(each.startswith(f"{key}|") for each in results):
                    continue
                results |= {f"{key}|{name}": shares for name, shares in measure().items()}
                options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
            progress("measure", len(todo), len(todo))
    show(results, options.plot)


if __name__ == "__main__":
    main()
