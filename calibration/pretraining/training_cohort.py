"""Whom the network learns from: people who each do some of many tasks."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.pretraining.grid import brain_mask
from calibration.pretraining.recordings import CHEAP, prepare
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
from rtdecode.types import Bool, Float32

FIRST_PERSON = 2_000_000
"""Seeds from here on: no demo, test or `rtdecode simulate` draws these people."""


@dataclass(frozen=True, slots=True)
class PretrainingCohort:
    """Who is scanned, doing what."""

    people: int = 60
    states: int = 48
    """Drawn from the dictionary of regions."""
    states_each: int = 24
    """Of them, drawn for each person."""
    blocks_per_state: int = 1
    sharing: float = 0.6
    """Share of a pattern that all people have in common."""
    bold_percent: float = 3.0
    """Strong responses: what is learnt from them holds for weaker ones, and is learnt sooner."""
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class CohortExamples:
    """Labelled volumes of many people."""

    volumes: NDArray[np.float16]
    """(n, voxels in mask), possibly mapped from disk."""
    state: NDArray[np.int64]
    """(n,)"""
    person: NDArray[np.int64]
    """(n,)"""
    block: NDArray[np.int64]
    """(n,) number of the block, unique over all people; the volumes of a block are neighbours."""
    states: tuple[str, ...]
    mask: Bool

    def save(self, folder: Path) -> None:
        """Write to a folder, for `load`."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "volumes.npy", self.volumes)
        np.savez(
            folder / "labels.npz",
            state=self.state,
            person=self.person,
            block=self.block,
            states=np.array(self.states),
            mask=self.mask,
        )

    @classmethod
    def load(cls, folder: Path) -> "CohortExamples":
        """Read what `save` wrote; volumes stay on disk until they are used."""
        with np.load(folder / "labels.npz") as labels:
            return cls(
                np.load(folder / "volumes.npy", mmap_mode="r"),
                labels["state"],
                labels["person"],
                labels["block"],
                tuple(map(str, labels["states"])),
                labels["mask"],
            )

    def permuted(self, seed: int) -> "CohortExamples":
        """Return the same volumes with each person's states renamed at random.

        Within a person nothing is lost; between people no name means the same. What is learnt from
        these cannot be transfer.
        """
        rng = np.random.default_rng(seed)
        state = self.state.copy()
        for person in np.unique(self.person):
            of = self.person == person
            state[of] = rng.permutation(len(self.states))[self.state[of]]
        return CohortExamples(self.volumes, state, self.person, self.block, self.states, self.mask)


def scan_cohort(settings: PretrainingCohort, progress: Progress) -> CohortExamples:
    """Scan everybody, and keep the volumes that show a state.

    Parameters
    ----------
    settings
        See `PretrainingCohort`.
    progress
        Told how many people are done.
    """
    template, mask = load_template(), brain_mask()
    states = draw_states(settings.states, stream("pretraining states", settings.seed))
    names = [state.trial_type for state in states]
    population = ActivationSettings(bold_percent=settings.bold_percent, sharing=settings.sharing)
    design = RunDesign(settings.blocks_per_state, protocol=CHEAP)

    def scan(number: int) -> tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.int64]]:
        seed = FIRST_PERSON + 1000 * settings.seed + number
        order = stream("states of a person", seed).permutation(settings.states)
        mine = tuple(states[n] for n in sorted(order[: settings.states_each]))
        someone = make_participant(template, ParticipantSettings(mine, population), seed)
        recording = prepare(simulate_run(someone, design, 1), mask)
        labels = recording.labels
        of = np.array([names.index(name) for name in labels.classes])
        rows = labels.chosen
        return recording.data[rows].astype(np.float16), of[labels.label[rows]], labels.block[rows]

    found: list[tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.int64]]] = []
    # Simulation and stages leave Python's lock alone for most of their time.
    with ThreadPoolExecutor(2, thread_name_prefix="cohort") as pool:
        for one in pool.map(scan, range(settings.people)):
            found.append(one)
            progress("scan simulated people", len(found), settings.people)
    volumes, state, block = zip(*found, strict=True)
    sizes = [len(each) for each in state]
    person = np.repeat(np.arange(settings.people), sizes)
    per_run = settings.blocks_per_state * settings.states_each
    return CohortExamples(
        np.concatenate(volumes),
        np.concatenate(state),
        person,
        np.concatenate(block) + person * per_run,
        tuple(names),
        mask,
    )


def batches(
    examples: CohortExamples, size: int, average: int, mixed: int, rng: np.random.Generator
) -> Generator[tuple[Float32, NDArray[np.int64]], int | None, None]:
    """Yield batches for ever: each example is a mean of volumes that show one state.

    Up to `average` neighbours of one block, and then one volume each of `mixed` - 1 other places of
    any person: noise averages out, and what people have in common remains. So training begins with
    easy examples; `mixed` = 1 gives single people. `mixed` may be changed by `send`.
    """
    edges = np.flatnonzero(np.diff(examples.block, prepend=-1, append=-1))
    firsts, ends = edges[:-1], edges[1:]
    of_state = [np.flatnonzero(examples.state == n) for n in range(len(examples.states))]
    while True:
        made, states = [], []
        for place in rng.integers(0, len(firsts), size):
            first, end = firsts[place], ends[place]
            length = int(rng.integers(1, min(average, end - first) + 1))
            start = int(rng.integers(first, end - length + 1))
            volume = examples.volumes[start : start + length].astype(np.float32).mean(axis=0)
            state = int(examples.state[first])
            for row in rng.choice(of_state[state], mixed - 1):
                volume += examples.volumes[row]
            made.append(volume / mixed)
            states.append(state)
        changed = yield np.array(made, np.float32), np.array(states)
        mixed = changed or mixed
