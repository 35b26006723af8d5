"""The task's blocks, from a BIDS events file."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtdecode.errors import ConfigError

REST = "rest"
"""What the time between two blocks is called."""
MAX_PAUSE_S = 3.0
"""Events of one type that follow each other within this belong to one block."""


@dataclass(frozen=True, slots=True)
class Block:
    """An uninterrupted stretch of one trial type, seconds from the run's first volume."""

    trial_type: str
    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run is in its protocol."""

    now: str
    left_s: float
    """Until it is over; infinite where nothing follows."""
    following: str
    """What follows; empty for nothing."""


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Read a BIDS events file (tab-separated; columns onset, duration, trial_type at least).

    Raises
    ------
    ConfigError
        It cannot be read; the message names every row that is wrong.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read as events: {error}") from error
    blocks: list[Block] = []
    problems: list[str] = []
    for number, row in enumerate(rows, start=2):
        try:
            onset_s, duration_s = _seconds(row["onset"]), _seconds(row["duration"])
            trial_type = row["trial_type"].strip()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(
                f"{path}, row {number}: {error}; a row is onset, duration and trial_type, "
                "tab-separated, in seconds"
            )
            continue
        if trial_type and trial_type != "n/a":
            blocks.append(Block(trial_type, onset_s, onset_s + duration_s))
    if problems:
        raise ConfigError(problems)
    if not blocks:
        raise ConfigError(f"{path}: no event; add a row per event")
    return joined(sorted(blocks, key=lambda block: block.onset_s))


def _seconds(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"{cell} is no time")
    return value


def joined(events: Sequence[Block]) -> tuple[Block, ...]:
    """Return blocks of the events of one type that follow each other closely."""
    blocks: list[Block] = []
    for event in events:
        last = blocks[-1] if blocks else None
        close = last is not None and event.onset_s - last.end_s <= MAX_PAUSE_S
        if last is not None and close and event.trial_type == last.trial_type:
            end_s = max(last.end_s, event.end_s)
            blocks[-1] = Block(last.trial_type, last.onset_s, end_s)
        else:
            blocks.append(event)
    return tuple(blocks)


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
