"""The task's blocks, from a BIDS events file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtdecode.events import Block, Event, joined, read_events
from rtdecode.journal import StimulusEvent

REST = "rest"
"""What the time between two blocks is called."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run is in its protocol."""

    now: str
    left_s: float
    """Until it is over; infinite where nothing follows."""
    following: str
    """What follows; empty for nothing."""


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Read the blocks of a BIDS events file.

    Raises
    ------
    ConfigError
        It cannot be read; the message names every row that is wrong.
    """
    return _blocks(read_events(path, lasting=True))


def told_blocks(presented: Sequence[StimulusEvent], run: int) -> tuple[Block, ...]:
    """Return the blocks of a run that stimulus programs told, those with a known time."""
    events = [
        Event(told.onset_s, told.duration_s, told.trial_type)
        for told in presented
        # What is told before a run's first volume is of the run that follows.
        if told.onset_s is not None and told.duration_s and max(told.run, 1) == run
    ]
    return _blocks(sorted(events, key=lambda event: event.onset_s))


def _blocks(events: Sequence[Event]) -> tuple[Block, ...]:
    return tuple(Block(event.trial_type, event.onset_s, event.end_s) for event in joined(events))


def moment(blocks: Sequence[Block], run_s: float, length_s: float) -> Moment:
    """Return what is on at a time of the run.

    Parameters
    ----------
    blocks
        In order.
    run_s
        Seconds since the run's first volume began.
    length_s
        Of the whole run; infinite where it is not known.
    """
    for number, block in enumerate(blocks):
        if run_s < block.onset_s:
            return Moment(REST, block.onset_s - run_s, block.trial_type)
        if run_s < block.end_s:
            after = blocks[number + 1] if number + 1 < len(blocks) else None
            adjoins = after is not None and after.onset_s - block.end_s < 0.5
            following = after.trial_type if after is not None and adjoins else REST
            return Moment(block.trial_type, block.end_s - run_s, following)
    return Moment(REST, length_s - run_s, "")
