"""Sham feedback, from the decisions of a recorded session."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.journal import RecordedRun, read_session
from rtdecode.types import Decision

SHUFFLED_VOLUMES = 10
"""Length of the pieces that `shuffle` reorders, volumes."""

Arm = Literal["real", "yoked", "shuffled"]
ARMS: tuple[Arm, ...] = ("real", "yoked", "shuffled")


@dataclass(frozen=True, slots=True)
class RecordedDecisions:
    """The decisions of a recorded run, by volume.

    A volume without a decision has the previous decision. Volumes before the first decision have
    the first one.
    """

    classes: tuple[str, ...]
    fast: tuple[tuple[float, ...], ...]
    window: tuple[tuple[float, ...], ...]
    repetition_time_s: float

    def probabilities(self, index: int, which: Literal["fast", "window"]) -> tuple[float, ...]:
        """Return the probabilities of a volume; the recording starts again after its end."""
        series = self.fast if which == "fast" else self.window
        return series[index % len(series)]


def read_recordings(session: Path) -> tuple[RecordedDecisions, ...]:
    """Read the runs of a session that have decisions.

    Raises
    ------
    ConfigError
        The folder is not a session, or has no decisions.
    """
    runs = [
        _recording(run)
        for run in read_session(session).runs
        if any(isinstance(outcome, Decision) for outcome in run.outcomes)
    ]
    if not runs:
        raise ConfigError(f"{session} has no decisions; give a session with a decided run")
    return tuple(runs)


def yoked_recording(recordings: Sequence[RecordedDecisions], run: int) -> RecordedDecisions:
    """Return the recorded decisions for a run.

    If there are more runs than recorded runs, the recorded runs are repeated.
    """
    return recordings[(run - 1) % len(recordings)]


def shuffle(recording: RecordedDecisions, seed: Sequence[int]) -> RecordedDecisions:
    """Return a recording with its pieces in another order.

    Mean, variance and distribution are the same, because each decision occurs once. The order
    within a piece of `SHUFFLED_VOLUMES` volumes is the same, so feedback changes at the same speed.
    The times of the changes are lost: every piece moves. (A recording of one piece cannot change.)

    Parameters
    ----------
    recording
        The recording to reorder.
    seed
        The same seed gives the same order.
    """
    rng = np.random.default_rng(list(seed))
    order = np.arange(len(recording.fast))
    # The start of the first piece is random: the recording is treated as a ring.
    shift = int(rng.integers(len(order)))
    order = np.roll(order, shift)
    pieces = [order[at : at + SHUFFLED_VOLUMES] for at in range(0, len(order), SHUFFLED_VOLUMES)]
    # Sattolo's algorithm: the permutation is one cycle, so that every piece moves.
    for last in range(len(pieces) - 1, 0, -1):
        other = int(rng.integers(last))
        pieces[last], pieces[other] = pieces[other], pieces[last]
    indices = [int(index) for index in np.roll(np.concatenate(pieces), -shift)]
    return RecordedDecisions(
        recording.classes,
        tuple(recording.fast[index] for index in indices),
        tuple(recording.window[index] for index in indices),
        recording.repetition_time_s,
    )


def _recording(run: RecordedRun) -> RecordedDecisions:
    decisions = [outcome if isinstance(outcome, Decision) else None for outcome in run.outcomes]
    last = first = next(decision for decision in decisions if decision is not None)
    series = []
    for decision in decisions:
        last = decision or last
        series.append(last)
    return RecordedDecisions(
        tuple(run.start.header["classes"]),
        tuple(decision.fast for decision in series),
        tuple(decision.probabilities for decision in series),
        (last.acquired_s - first.acquired_s) / max(1, last.index - first.index),
    )
