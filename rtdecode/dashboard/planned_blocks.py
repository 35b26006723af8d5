"""The blocks of the task, from a BIDS events file or from stimulus programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtdecode.events import Block, Event, joined, read_events
from rtdecode.journal import StimulusEvent

REST = "rest"
"""Name of the time between two blocks."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The position of a run in its protocol."""

    now: str
    """Trial type of the present block, or `REST`."""
    left_s: float
    """Time until the block ends; infinite if nothing follows."""
    following: str
    """Trial type of the next block, or `REST`; empty if nothing follows."""


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Read the blocks of a BIDS events file.

    Raises
    ------
    ConfigError
        The file cannot be read; the message names every wrong row.
    """
    return _blocks(read_events(path, lasting=True))


def presented_blocks(presented: Sequence[StimulusEvent], run: int) -> tuple[Block, ...]:
    """Return the blocks of a run that stimulus programs reported with their times."""
    events = [
        Event(event.onset_s, event.duration_s, event.trial_type)
        for event in presented
        # An event that is reported before the first run belongs to the first run.
        if event.onset_s is not None and event.duration_s and max(event.run, 1) == run
    ]
    return _blocks(sorted(events, key=lambda event: event.onset_s))


def _blocks(events: Sequence[Event]) -> tuple[Block, ...]:
    return tuple(Block(event.trial_type, event.onset_s, event.end_s) for event in joined(events))


def moment(blocks: Sequence[Block], run_s: float, length_s: float) -> Moment:
    """Return the position in the protocol at a time of the run.

    Parameters
    ----------
    blocks
        Ordered by time.
    run_s
        Seconds since the start of the run's first volume.
    length_s
        Length of the whole run; infinite if it is not known.
    """
    for number, block in enumerate(blocks):
        if run_s < block.onset_s:
            return Moment(REST, block.onset_s - run_s, block.trial_type)
        if run_s < block.end_s:
            following = REST
            if number + 1 < len(blocks) and blocks[number + 1].onset_s - block.end_s < 0.5:
                following = blocks[number + 1].trial_type
            return Moment(block.trial_type, block.end_s - run_s, following)
    return Moment(REST, length_s - run_s, "")
