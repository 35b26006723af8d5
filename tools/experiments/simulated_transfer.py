"""Worlds of simulated people and their decoders, for `transfer_curve.py --simulated`.

There are three worlds. In *shared*, people's patterns have 60 % of their variance in common. In
*unrelated*, they have nothing in common, and neither have the people of the pretraining; what
pretraining adds there is not transfer. In *null*, there is no activity; a result above chance there
is an error of the method.

No network was pretrained on the four states of these people, or on these people.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.head import Head
from calibration.decoders.lda import fit_lda
from calibration.networks import DeepLight, MaskedSlices, batch_sequences
from calibration.pretraining.grid import brain_mask
from calibration.pretraining.initial import initial_network
from calibration.pretraining.learn import LearningSettings, learn
from calibration.pretraining.recordings import CHEAP, Recording, prepare
from calibration.pretraining.training_cohort import CohortExamples
from calibration.progress import Progress
from calibration.simulation import (
    ActivationSettings,
    ParticipantSettings,
    RunDesign,
    load_template,
    make_participant,
    simulate_run,
)
from calibration.simulation.dictionary import draw_states
from calibration.simulation.seeds import stream
from calibration.weights import load_deeplight
from rtdecode.types import Float32, Float64

SHARED, UNRELATED, NULL = "shared", "unrelated", "null"
WORLDS = {
    SHARED: ActivationSettings(bold_percent=1.2, sharing=0.6),
    UNRELATED: ActivationSettings(bold_percent=1.2, sharing=0.0),
    NULL: ActivationSettings(bold_percent=0.0),
}
"""With 1.2 % of signal change no decoder approaches 100 %."""
MINUTES = {2: 1, 5: 3, 10: 7}
"""Minutes of a person's own calibration, and the blocks of each state that fit in."""
N_TRAIN = (1, 2, 3, 5, 10, 20)
TRAIN_ROUNDS = TEST_ROUNDS = 2
N_TEST = 20
FIRST_PERSON = 7_000_000
RECURRENT, LAYER = 0, 8
"""The layers that heads use: the recurrent features, and the convolution that the shipped weights
name first. It was chosen on six people with other states."""
OWN = LearningSettings(steps=60, batch=8, bfloat16=True)
"""All layers learn from one person, from scratch or from pretrained weights."""
OF_GROUP = LearningSettings(steps=250, bfloat16=True)
"""All layers learn from the training people."""
BATCH = 16
CHANCE = 0.25


@dataclass(frozen=True, eq=False)
class Person:
    """The two runs of one person."""

    calibration: Recording
    test: Recording


@dataclass(frozen=True, eq=False)
class World:
    """The people of one world."""

    name: str
    training: list[Recording]
    people: list[Person]


def build(name: str, progress: Progress) -> World:
    """Scan the people of a world."""
    template, mask = load_template(), brain_mask()
    states = draw_states(4, stream("transfer states", 1))
    population = ParticipantSettings(states, WORLDS[name])

    def scan(seed: int, rounds: int, run: int) -> Recording:
        participant = make_participant(template, population, seed)
        return prepare(simulate_run(participant, RunDesign(rounds, protocol=CHEAP), run), mask)

    def person(number: int) -> Person:
        seed = FIRST_PERSON + number
        return Person(scan(seed, MINUTES[10], 1), scan(seed, TEST_ROUNDS, 2))

    with ThreadPoolExecutor(2, thread_name_prefix="people") as pool:
        training = []
        seeds = range(FIRST_PERSON + 500, FIRST_PERSON + 500 + N_TRAIN[-1])
        for recording in pool.map(lambda seed: scan(seed, TRAIN_ROUNDS, 1), seeds):
            training.append(recording)
            progress(f"scan training people, {name}", len(training), N_TRAIN[-1])
        people = []
        for each in pool.map(person, range(N_TEST)):
            people.append(each)
            progress(f"scan test people, {name}", len(people), N_TEST)
    return World(name, training, people)


Examples: TypeAlias = tuple[Float32, Labels]
"""Features of labelled volumes, (n, F), and their labels."""


@dataclass(frozen=True, eq=False)
class View:
    """The features of one layer, or the voxels, of all people's labelled volumes."""

    training: list[Examples]
    people: list[tuple[Examples, Examples]]
    """Calibration and test of each person."""


def voxels(world: World) -> View:
    """Return the voxels of all people."""
    return View(
        [_chosen(each) for each in world.training],
        [(_chosen(p.calibration), _chosen(p.test)) for p in world.people],
    )


def network_views(network: DeepLight, world: World, progress: Progress) -> dict[int, View]:
    """Return the recurrent features and those of convolution `LAYER`, by layer."""
    view = voxels(world)
    slices = MaskedSlices(brain_mask())
    done = 0
    total = len(view.training) + 2 * len(view.people)

    def extract(examples: Examples) -> dict[int, Examples]:
        nonlocal done
        done += 1
        progress(f"extract features, {world.name}", done, total)
        volumes, labels = examples
        return {layer: (x, labels) for layer, x in _features(network, slices, volumes).items()}

    training = [extract(examples) for examples in view.training]
    people = [(extract(first), extract(second)) for first, second in view.people]
    return {
        layer: View(
            [each[layer] for each in training],
            [(first[layer], second[layer]) for first, second in people],
        )
        for layer in (RECURRENT, LAYER)
    }


def _features(network: DeepLight, slices: MaskedSlices, volumes: Float32) -> dict[int, Float32]:
    """Return the same as `network_features`, for batches of volumes in bfloat16."""
    batches: dict[int, list[Float32]] = {RECURRENT: [], LAYER: []}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(volumes), BATCH):
            batch = torch.from_numpy(volumes[start : start + BATCH])
            stacked = torch.cat([slices(volume) for volume in batch])
            middle = network.run(stacked, 0, LAYER)
            sequence = batch_sequences(
                network, slices, network.run(middle, LAYER, len(network.convolutions))
            )
            recurrent = network.sequence_features(sequence)
            batches[LAYER].append(middle.float().numpy().reshape(len(batch), -1))
            batches[RECURRENT].append(recurrent.float().numpy())
    return {layer: np.concatenate(parts) for layer, parts in batches.items()}


def own(view: View, rounds: int) -> list[float]:
    """Return each test person's accuracy; the head is fitted to `rounds` own blocks per state."""
    return [
        _share(_fit([_first(calibration, rounds)]).log_probabilities(x), labels)
        for calibration, (x, labels) in view.people
    ]


def group(view: View, n_train: int) -> list[float]:
    """Return the same for a head that is fitted to training people only."""
    head = _fit(view.training[:n_train])
    return [_share(head.log_probabilities(x), labels) for _, (x, labels) in view.people]


def both(view: View, rounds: int) -> list[float]:
    """Return the same for the sum of the own head's and the training people's logits.

    The training people's head is the prior. Both are scaled to unit variance, without labels: a
    head that is fitted to few volumes is too confident.
    """
    prior = _fit(view.training)
    shares = []
    for calibration, (x, labels) in view.people:
        own_head = _fit([_first(calibration, rounds)])
        shares.append(_share(_scaled(own_head, x) + _scaled(prior, x), labels))
    return shares


def learnt(
    runs: list[Recording],
    rounds: int,
    settings: LearningSettings,
    test: list[Recording],
    start: DeepLight | None,
    progress: Progress,
) -> list[float]:
    """Return the accuracy in each test run of a network whose layers all learn from `runs`.

    Learning begins with `start`, or from scratch.
    """
    parts = [_first(_chosen(run), rounds) for run in runs]
    examples = CohortExamples(
        volumes=np.concatenate([x for x, _ in parts]).astype(np.float16),
        state=np.concatenate([labels.label for _, labels in parts]),
        person=np.repeat(np.arange(len(parts)), [len(x) for x, _ in parts]),
        block=np.concatenate([labels.block + 1000 * n for n, (_, labels) in enumerate(parts)]),
        states=parts[0][1].classes,
        mask=brain_mask(),
    )
    network = learn(
        examples,
        settings,
        lambda lesson: progress("train all layers", lesson.step, settings.steps),
        start=start,
    )
    head = Head(*(p.numpy() for p in (network.head.weight, network.head.bias)))
    shares = []
    for run in test:
        x, labels = _chosen(run)
        recurrent = _features(network, MaskedSlices(examples.mask), x)[RECURRENT]
        shares.append(_share(head.log_probabilities(recurrent), labels))
    return shares


Measurement: TypeAlias = tuple[str, Callable[[], list[float]]]


def measurements(
    world: World, weights: dict[str, Path], progress: Progress
) -> Iterator[Measurement]:
    """Yield keys `world|arm|axis|value` and functions that measure them, fast ones first.

    Parameters
    ----------
    world
        From `build`.
    weights
        Files of the pretrained networks by arm, as far as there are any.
    progress
        Called with each step, its progress and its total.
    """
    view = voxels(world)
    yield from _of_view(world, "D voxels", lambda: view, prior="E voxels and the group's prior")
    columns, rows, slices = brain_mask().shape
    networks = {arm: load_deeplight(path) for arm, path in weights.items()}
    networks["G random weights"] = initial_network((columns, rows, slices), 4, 1)
    for arm, network in networks.items():
        views: dict[int, View] = {}

        def view_of(layer: int, network: DeepLight, views: dict[int, View]) -> View:
            if not views:
                views.update(network_views(network, world, progress))
            return views[layer]

        for layer, name in ((RECURRENT, "recurrent"), (LAYER, f"convolution {LAYER}")):
            prior = f"{arm}, {name} and the group's prior"
            get = partial(view_of, layer, network, views)
            yield from _of_view(world, f"{arm}, {name}", get, prior)
    yield from _by_gradient(world, "A from scratch", None, progress)
    if "B pretrained" in weights:
        tuned = networks["B pretrained"]
        yield from _by_gradient(world, "B pretrained, fine-tuned", tuned, progress)


def _of_view(world: World, arm: str, get: Callable[[], View], prior: str) -> Iterator[Measurement]:
    for minutes, rounds in MINUTES.items():
        yield f"{world.name}|{arm}|minutes|{minutes}", partial(_measure, own, get, rounds)
        yield f"{world.name}|{prior}|minutes|{minutes}", partial(_measure, both, get, rounds)
    for n in N_TRAIN:
        yield f"{world.name}|{arm}|people|{n}", partial(_measure, group, get, n)


def _measure(
    accuracy: Callable[[View, int], list[float]], get: Callable[[], View], number: int
) -> list[float]:
    return accuracy(get(), number)


def _by_gradient(
    world: World, arm: str, start: DeepLight | None, progress: Progress
) -> Iterator[Measurement]:
    tests = [person.test for person in world.people]
    minutes = max(MINUTES)  # the most data for learning from scratch; each point takes long

    def each() -> list[float]:
        return [
            learnt([p.calibration], MINUTES[minutes], OWN, [p.test], start, progress)[0]
            for p in world.people
        ]

    yield f"{world.name}|{arm}|minutes|{minutes}", each
    if world.name == SHARED:
        n = N_TRAIN[-1]
        yield (
            f"{world.name}|{arm}|people|{n}",
            lambda: learnt(world.training, TRAIN_ROUNDS, OF_GROUP, tests, start, progress),
        )


def _chosen(run: Recording) -> Examples:
    rows = np.flatnonzero(run.labels.chosen)
    return run.data[rows], run.labels.take(rows)


def _first(examples: Examples, rounds: int) -> Examples:
    """Return the volumes of the first `rounds` blocks of each state."""
    x, labels = examples
    rows = np.flatnonzero(labels.block < rounds * labels.n_classes)
    return x[rows], labels.take(rows)


def _fit(parts: list[Examples]) -> Head:
    features = np.concatenate([x for x, _ in parts])
    first = parts[0][1]
    labels = replace(
        first,
        **{
            name: np.concatenate([getattr(labels, name) for _, labels in parts])
            for name in ("label", "block", "rest", "run", "acquired_s")
        },
    )
    return fit_lda(features, labels)


def _scaled(head: Head, x: Float32) -> Float64:
    logits = x @ head.weight.T + head.bias
    logits = logits - logits.mean(axis=1, keepdims=True)
    return np.asarray(logits / logits.std(), dtype=np.float64)


def _share(evidence: NDArray[np.floating], labels: Labels) -> float:
    return float((evidence.argmax(axis=1) == labels.label).mean())
