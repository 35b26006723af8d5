"""Feedback that is not the participant's: from the decisions of a recorded session."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.journal import RecordedRun, read_session
from rtdecode.types import Decision

SHUFFLED_VOLUMES = 10
"""Length of the pieces that `shuffled` puts into another order."""

Arm = Literal["real", "yoked", "shuffled"]
ARMS: tuple[Arm, ...] = ("real", "yoked", "shuffled")


@dataclass(frozen=True, slots=True)
class RecordedDecisions:
    """A recorded run's decisions, by volume.

    A volume without a decision has its predecessor's; those before the first have the first's.
    """

    classes: tuple[str, ...]
    fast: tuple[tuple[float, ...], ...]
    window: tuple[tuple[float, ...], ...]
    repetition_time_s: float

    def probabilities(self, index: int, which: Literal["fast", "window"]) -> tuple[float, ...]:
        """Return those of a volume; after its last the recording begins again."""
        series = self.fast if which == "fast" else self.window
        return series[index % len(series)]


def read_recordings(session: Path) -> tuple[RecordedDecisions, ...]:
    """Read a session's runs that have decisions.

    Raises
    ------
    ConfigError
        It is no session, or has none.
    """
    runs = [
        _recording(run)
        for run in read_session(session).runs
        if any(isinstance(outcome, Decision) for outcome in run.outcomes)
    ]
    if not runs:
        raise ConfigError(f"{session} has no decisions; give a session in which a run was decided")
    return tuple(runs)


def yoked(recordings: Sequence[RecordedDecisions], run: int) -> RecordedDecisions:
    """Return what a participant of the recorded session was decided to do in a run.

    A run that was not recorded has one that was, in turn.
    """
    return recordings[(run - 1) % len(recordings)]


def shuffled(recording: RecordedDecisions, seed: Sequence[int]) -> RecordedDecisions:
    """Return a recording whose pieces are in another order.

    Every decision stays once, so mean, variance and distribution are the recording's; the course
    within a piece of `SHUFFLED_VOLUMES` volumes stays too, and with it how fast feedback changes.
    Lost is when it changes: no piece stays in its place. (A recording of one piece cannot change.)

    Parameters
    ----------
    recording
        Of which run.
    seed
        The same gives the same.
    """
    rng = np.random.default_rng(list(seed))
    order = np.arange(len(recording.fast))
    # Where pieces begin is drawn, too; the recording is taken as a ring for that.
    turn = int(rng.integers(len(order)))
    order = np.roll(order, turn)
    pieces = [order[at : at + SHUFFLED_VOLUMES] for at in range(0, len(order), SHUFFLED_VOLUMES)]
    # Sattolo's algorithm: a permutation that is one cycle, so that nothing stays in its place.
    for last in range(len(pieces) - 1, 0, -1):
        other = int(rng.integers(last))
        pieces[last], pieces[other] = pieces[other], pieces[last]
    places = [int(place) for place in np.roll(np.concatenate(pieces), -turn)]
    return RecordedDecisions(
        recording.classes,
        tuple(recording.fast[place] for place in places),
        tuple(recording.window[place] for place in places),
        recording.repetition_time_s,
    )


def _recording(run: RecordedRun) -> RecordedDecisions:
    decided = [outcome if isinstance(outcome, Decision) else None for outcome in run.outcomes]
    last = first = next(outcome for outcome in decided if outcome is not None)
    filled = []
    for outcome in decided:
        last = outcome or last
        filled.append(last)
    return RecordedDecisions(
        tuple(run.start.header["classes"]),
        tuple(outcome.fast for outcome in filled),
        tuple(outcome.probabilities for outcome in filled),
        (last.acquired_s - first.acquired_s) / max(1, last.index - first.index),
    )
