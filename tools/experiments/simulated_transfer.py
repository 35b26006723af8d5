"""The simulated side of `tools/experiments/transfer_curve.py`: worlds, people, and every way to a decoder.

Three worlds. *shared*: people's patterns have 60 % of their variance in common. *unrelated*:
nothing in common, in the people that the network was pretrained on either; what pretraining still
gives there is no transfer. *null*: no activity at all; whatever is above chance there is an error
of ours.

The four states of the people here are none of those that any network was pretrained on. Training
people, who do these four, and test people are others than the pretraining's.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.lda import Head, fit_lda
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
"""1.2 % of signal change: no decoder here comes near 100 %."""
MINUTES = {2: 1, 5: 3, 10: 7}
"""Of a person's own calibration, at most, and how many blocks of each state fit in."""
N_TRAIN = (1, 2, 3, 5, 10, 20)
TRAIN_ROUNDS = TEST_ROUNDS = 2
N_TEST = 20
FIRST_PERSON = 7_000_000
RECURRENT, LAYER = 0, 8
"""What heads read: the recurrent features, and the convolution that the shipped weights name first,
which was chosen on six people with other states than these."""
OWN = LearningSettings(steps=60, batch=8, bfloat16=True)
"""All layers, by gradient, of one person: from scratch and from pretrained weights alike."""
OF_GROUP = LearningSettings(steps=250, bfloat16=True)
BATCH = 16
CHANCE = 0.25


@dataclass(frozen=True, eq=False)
class Person:
    """One person's two runs."""

    calibration: Recording
    test: Recording


@dataclass(frozen=True, eq=False)
class World:
    """Everybody of one world."""

    name: str
    training: list[Recording]
    people: list[Person]


def build(name: str, progress: Progress) -> World:
    """Scan everybody of a world."""
    template, mask = load_template(), brain_mask()
    states = draw_states(4, stream("transfer states", 1))
    population = ParticipantSettings(states, WORLDS[name])

    def scan(seed: int, rounds: int, run: int) -> Recording:
        someone = make_participant(template, population, seed)
        return prepare(simulate_run(someone, RunDesign(rounds, protocol=CHEAP), run), mask)

    def person(number: int) -> Person:
        seed = FIRST_PERSON + number
        return Person(scan(seed, MINUTES[10], 1), scan(seed, TEST_ROUNDS, 2))

    with ThreadPoolExecutor(2, thread_name_prefix="people") as pool:
        training = []
        for one in pool.map(lambda n: scan(FIRST_PERSON + 500 + n, TRAIN_ROUNDS, 1),
                            range(N_TRAIN[-1])):  # fmt: skip
            training.append(one)
            progress(f"scan training people, {name}", len(training), N_TRAIN[-1])
        people = []
        for each in pool.map(person, range(N_TEST)):
            people.append(each)
            progress(f"scan test people, {name}", len(people), N_TEST)
    return World(name, training, people)


@dataclass(frozen=True, eq=False)
class View:
    """What a head reads of everybody's labelled volumes, through one network or none."""

    training: list[tuple[Float32, Labels]]
    people: list[tuple[tuple[Float32, Labels], tuple[Float32, Labels]]]


def voxels(world: World) -> View:
    """Return the voxels themselves."""
    return View(
        [_chosen(each) for each in world.training],
        [(_chosen(p.calibration), _chosen(p.test)) for p in world.people],
    )


def through(network: DeepLight, world: World, progress: Progress) -> dict[int, View]:
    """Return what two layers of a network say: the recurrent one, and convolution `LAYER`."""
    seen = voxels(world)
    slices = MaskedSlices(brain_mask())
    done = 0
    total = len(seen.training) + 2 * len(seen.people)

    def look(of: tuple[Float32, Labels]) -> dict[int, tuple[Float32, Labels]]:
        nonlocal done
        done += 1
        progress(f"through a network, {world.name}", done, total)
        return {layer: (x, of[1]) for layer, x in _features(network, slices, of[0]).items()}

    training = [look(each) for each in seen.training]
    people = [(look(first), look(second)) for first, second in seen.people]
    return {
        layer: View(
            [each[layer] for each in training],
            [(first[layer], second[layer]) for first, second in people],
        )
        for layer in (RECURRENT, LAYER)
    }


def _features(network: DeepLight, slices: MaskedSlices, volumes: Float32) -> dict[int, Float32]:
    """Return what `network_features` does, sixteen volumes at a time in bfloat16."""
    found: dict[int, list[Float32]] = {RECURRENT: [], LAYER: []}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in range(0, len(volumes), BATCH):
            few = torch.from_numpy(volumes[start : start + BATCH])
            laid = torch.cat([slices(volume) for volume in few])
            middle = network.run(laid, 0, LAYER)
            sequence = batch_sequences(
                network, slices, network.run(middle, LAYER, len(network.convolutions))
            )
            recurrent = network.sequence_features(sequence)
            found[LAYER].append(middle.float().numpy().reshape(len(few), -1))
            found[RECURRENT].append(recurrent.float().numpy())
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def own(view: View, rounds: int) -> list[float]:
    """Return each test person's share of volumes, a head fitted to so many own blocks a state."""
    return [
        _share(_fit([_first(calibration, rounds)]).log_probabilities(x), labels)
        for calibration, (x, labels) in view.people
    ]


def group(view: View, n_train: int) -> list[float]:
    """Return the same for one head fitted to training people only."""
    head = _fit(view.training[:n_train])
    return [_share(head.log_probabilities(x), labels) for _, (x, labels) in view.people]


def both(view: View, rounds: int) -> list[float]:
    """Return the same for own head and group's head together, each at one scale.

    The group's decoder is the prior. Scales are equalised without labels: a head that was fitted to
    few volumes is as sure of itself as it is wrong.
    """
    prior = _fit(view.training)
    shares = []
    for calibration, (x, labels) in view.people:
        mine = _fit([_first(calibration, rounds)])
        shares.append(_share(_even(mine, x) + _even(prior, x), labels))
    return shares


def learnt(
    runs: list[Recording],
    rounds: int,
    settings: LearningSettings,
    test: list[Recording],
    start: DeepLight | None,
    progress: Progress,
) -> list[float]:
    """Return what share of each test run a network decodes whose every layer learnt from `runs`.

    It begins with `start`, or from scratch.
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
        lambda lesson: progress("every layer, by gradient", lesson.step, settings.steps),
        start=start,
    )
    head = Head(*(p.numpy() for p in (network.head.weight, network.head.bias)))
    shares = []
    for run in test:
        x, labels = _chosen(run)
        recurrent = _features(network, MaskedSlices(examples.mask), x)[RECURRENT]
        shares.append(_share(head.log_probabilities(recurrent), labels))
    return shares


Measurement = tuple[str, Callable[[], list[float]]]


def measurements(
    world: World, weights: dict[str, Path], progress: Progress
) -> Iterator[Measurement]:
    """Yield a key `world|arm|axis|value` and what measures it, cheap ones first.

    Parameters
    ----------
    world
        From `build`.
    weights
        Pretrained networks by arm: `B`, and `F`, where they are.
    progress
        Told how far each part has come.
    """
    yield from _of_view(world, "D voxels", voxels(world), prior="E voxels and the group's prior")
    columns, rows, slices = brain_mask().shape
    networks = {arm: load_deeplight(path) for arm, path in weights.items()}
    networks["G random weights"] = initial_network((columns, rows, slices), 4, 1)
    for arm, network in networks.items():
        views: dict[int, View] = {}

        def seen(layer: int, network: DeepLight = network, views: dict = views) -> View:  # type: ignore[type-arg]
            if not views:
                views.update(through(network, world, progress))
            return views[layer]

        for layer, name in ((RECURRENT, "recurrent"), (LAYER, f"convolution {LAYER}")):
            prior = f"{arm}, {name} and the group's prior"
            yield from _of_view(world, f"{arm}, {name}", lambda at=layer: seen(at), prior)
    yield from _by_gradient(world, "A from scratch", None, progress)
    for arm in ("B pretrained",):
        if arm in weights:
            yield from _by_gradient(world, f"{arm}, fine-tuned", networks[arm], progress)


def _of_view(world: World, arm: str, view: object, prior: str) -> Iterator[Measurement]:
    def get() -> View:
        return view if isinstance(view, View) else view()

    for minutes, rounds in MINUTES.items():
        yield f"{world.name}|{arm}|minutes|{minutes}", lambda r=rounds: own(get(), r)
        yield f"{world.name}|{prior}|minutes|{minutes}", lambda r=rounds: both(get(), r)
    for n in N_TRAIN:
        yield f"{world.name}|{arm}|people|{n}", lambda n=n: group(get(), n)


def _by_gradient(
    world: World, arm: str, start: DeepLight | None, progress: Progress
) -> Iterator[Measurement]:
    every = [person.test for person in world.people]
    minutes = max(MINUTES)  # where scratch has most to learn from; each point takes long

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
            lambda: learnt(world.training, TRAIN_ROUNDS, OF_GROUP, every, start, progress),
        )


def _chosen(run: Recording) -> tuple[Float32, Labels]:
    rows = np.flatnonzero(run.labels.chosen)
    return run.data[rows], run.labels.take(rows)


def _first(of: tuple[Float32, Labels], rounds: int) -> tuple[Float32, Labels]:
    """Return the volumes of the first so many blocks of each state."""
    x, labels = of
    rows = np.flatnonzero(labels.block < rounds * labels.n_classes)
    return x[rows], labels.take(rows)


def _fit(parts: list[tuple[Float32, Labels]]) -> Head:
    together = np.concatenate([x for x, _ in parts])
    first = parts[0][1]
    labels = replace(
        first,
        **{
            name: np.concatenate([getattr(labels, name) for _, labels in parts])
            for name in ("label", "block", "rest", "run", "acquired_s")
        },
    )
    return fit_lda(together, labels)


def _even(head: Head, x: Float32) -> Float64:
    logits = x @ head.weight.T + head.bias
    logits = logits - logits.mean(axis=1, keepdims=True)
    return np.asarray(logits / logits.std(), dtype=np.float64)


def _share(evidence: NDArray[np.floating], labels: Labels) -> float:
    return float((evidence.argmax(axis=1) == labels.label).mean())
