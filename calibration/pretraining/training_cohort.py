"""The training data of the network: simulated people, each with some of many states."""

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
"""First seed of these people; no demo, test or `rtdecode simulate` uses these seeds."""


@dataclass(frozen=True, slots=True)
class PretrainingCohort:
    """The people and states of the cohort."""

    people: int = 60
    states: int = 48
    """Number of states, drawn from the dictionary of regions."""
    states_each: int = 24
    """Number of these states that are drawn for each person."""
    blocks_per_state: int = 1
    sharing: float = 0.6
    """Share of a pattern that all people have in common."""
    bold_percent: float = 3.0
    """Strong responses: a network learns faster from them, and is valid for weak ones too."""
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class CohortExamples:
    """Labelled volumes of many people."""

    volumes: NDArray[np.float16]
    """Volumes, (n, voxels in mask), possibly mapped from disk."""
    state: NDArray[np.int64]
    """State of each volume as an index of `states`, (n,)."""
    person: NDArray[np.int64]
    """Number of each volume's person, (n,)."""
    block: NDArray[np.int64]
    """Number of each volume's block, (n,), unique over all people; its volumes are neighbours."""
    states: tuple[str, ...]
    mask: Bool

    def save(self, folder: Path) -> None:
        """Write the examples to a folder."""
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
        """Read the files of `save`; volumes stay on disk until they are used."""
        with np.load(folder / "labels.npz") as labels:
            return cls(
                np.load(folder / "volumes.npy", mmap_mode="r"),
                labels["state"],
                labels["person"],
                labels["block"],
                tuple(map(str, labels["states"])),
                labels["mask"],
            )

    def permute_states(self, seed: int) -> "CohortExamples":
        """Return the same volumes with each person's states permuted at random.

        The information within a person is unchanged, but a state has a different meaning in each
        person. A benefit of weights trained on these examples is therefore not transfer.
        """
        rng = np.random.default_rng(seed)
        state = self.state.copy()
        for person in np.unique(self.person):
            rows = self.person == person
            state[rows] = rng.permutation(len(self.states))[self.state[rows]]
        return CohortExamples(self.volumes, state, self.person, self.block, self.states, self.mask)


def scan_cohort(settings: PretrainingCohort, progress: Progress) -> CohortExamples:
    """Scan all people, and return the volumes that show a state.

    Parameters
    ----------
    settings
        The settings of the cohort.
    progress
        Called with the number of scanned people.
    """
    template, mask = load_template(), brain_mask()
    states = draw_states(settings.states, stream("pretraining states", settings.seed))
    names = [state.trial_type for state in states]
    population = ActivationSettings(bold_percent=settings.bold_percent, sharing=settings.sharing)
    design = RunDesign(settings.blocks_per_state, protocol=CHEAP)

    def scan(number: int) -> tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.int64]]:
        seed = FIRST_PERSON + 1000 * settings.seed + number
        order = stream("states of a person", seed).permutation(settings.states)
        person_states = tuple(states[n] for n in sorted(order[: settings.states_each]))
        participant = make_participant(
            template, ParticipantSettings(person_states, population), seed
        )
        recording = prepare(simulate_run(participant, design, 1), mask)
        labels = recording.labels
        state_index = np.array([names.index(name) for name in labels.classes])
        rows = labels.chosen
        return (
            recording.data[rows].astype(np.float16),
            state_index[labels.label[rows]],
            labels.block[rows],
        )

    people: list[tuple[NDArray[np.float16], NDArray[np.int64], NDArray[np.int64]]] = []
    # Simulation and stages run without Python's global lock for most of their time.
    with ThreadPoolExecutor(2, thread_name_prefix="cohort") as pool:
        for one in pool.map(scan, range(settings.people)):
            people.append(one)
            progress("scan simulated people", len(people), settings.people)
    volumes, state, block = zip(*people, strict=True)
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
    """Yield batches without end; each example is a mean of volumes that show one state.

    An example combines the mean of up to `average` neighbouring volumes of one block with
    `mixed` - 1 single volumes of any people. This reduces noise and retains the common pattern, so
    that training starts with easy examples; `mixed` = 1 gives examples of one person. `send`
    changes the value of `mixed`.
    """
    edges = np.flatnonzero(np.diff(examples.block, prepend=-1, append=-1))
    firsts, ends = edges[:-1], edges[1:]
    of_state = [np.flatnonzero(examples.state == n) for n in range(len(examples.states))]
    while True:
        volumes, states = [], []
        for place in rng.integers(0, len(firsts), size):
            first, end = firsts[place], ends[place]
            length = int(rng.integers(1, min(average, end - first) + 1))
            start = int(rng.integers(first, end - length + 1))
            volume = examples.volumes[start : start + length].astype(np.float32).mean(axis=0)
            state = int(examples.state[first])
            for row in rng.choice(of_state[state], mixed - 1):
                volume += examples.volumes[row]
            volumes.append(volume / mixed)
            states.append(state)
        new_mixed = yield np.array(volumes, np.float32), np.array(states)
        mixed = new_mixed or mixed
