"""A block design and its BIDS events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from calibration.simulation.epi_protocol import EpiProtocol
from rtdecode.errors import ConfigError
from rtdecode.events import Event
from rtdecode.types import Float64


@dataclass(frozen=True)
class RunDesign:
    """Blocks and acquisition of one run.

    Blocks come in rounds; each round holds every state once, in random order.
    """

    blocks_per_state: int = 4
    block_s: float = 12.0
    rest_s: float = 8.0
    """Minimum rest after every block."""
    lead_in_s: float = 24.0
    """Rest before the first block: online statistics need about 20 s."""
    series_number: int = 5
    """DICOM SeriesNumber of the run."""
    protocol: EpiProtocol = field(default_factory=EpiProtocol)
    jitter_s: float = 0.0
    """Maximum time added to a rest. The rests are drawn so that the length of a run is fixed. Short
    blocks of 1 to 2 s with jitter are a slow event-related design."""

    def __post_init__(self) -> None:
        problems = [
            f"RunDesign.{name} must be {rule}: {value}"
            for name, value, rule, wrong in (
                ("blocks_per_state", self.blocks_per_state, ">= 1", self.blocks_per_state < 1),
                ("block_s", self.block_s, "positive", self.block_s <= 0),
                ("rest_s", self.rest_s, ">= 0", self.rest_s < 0),
                ("jitter_s", self.jitter_s, ">= 0", self.jitter_s < 0),
                ("lead_in_s", self.lead_in_s, ">= 0", self.lead_in_s < 0),
                ("series_number", self.series_number, ">= 1", self.series_number < 1),
            )
            if wrong
        ]
        if problems:
            raise ConfigError(problems)

    def duration_s(self, states: int) -> float:
        """Return the length of a run with this number of states, seconds."""
        block_and_rest_s = self.block_s + self.rest_s + self.jitter_s / 2
        return self.lead_in_s + states * self.blocks_per_state * block_and_rest_s

    def volumes(self, states: int) -> int:
        """Return the number of volumes of a run with this number of states."""
        return int(np.ceil(self.duration_s(states) / self.protocol.repetition_time_s - 1e-9))


def schedule(
    design: RunDesign, states: Sequence[str], rng: np.random.Generator
) -> tuple[Event, ...]:
    """Draw the order of blocks, random within each round, and return their events."""
    order = [
        states[i] for _ in range(design.blocks_per_state) for i in rng.permutation(len(states))
    ]
    # The waits are evenly spread and in random order, so that their sum is always the same.
    waits = (np.arange(len(order)) + 0.5) / len(order) * design.jitter_s
    steps = design.block_s + design.rest_s + (rng.permutation(waits) if design.jitter_s else waits)
    onsets = design.lead_in_s + np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    return tuple(
        Event(float(onset), design.block_s, state)
        for onset, state in zip(onsets, order, strict=True)
    )


def states_at(events: Sequence[Event], times_s: Float64) -> tuple[str, ...]:
    """Return the state at each time, '' at rest; no haemodynamic lag is applied."""
    states = [""] * len(times_s)
    for event in events:
        inside = (times_s >= event.onset_s) & (times_s < event.end_s)
        for position in np.flatnonzero(inside):
            states[position] = event.trial_type
    return tuple(states)


def write_events(events: Sequence[Event], path: Path) -> Path:
    """Write a BIDS ``events.tsv`` (onset and duration in seconds, trial_type); return `path`."""
    rows = [f"{e.onset_s:.3f}\t{e.duration_s:.3f}\t{e.trial_type}" for e in events]
    path.write_text("\n".join(["onset\tduration\ttrial_type", *rows, ""]), encoding="utf-8")
    return path
