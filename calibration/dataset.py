"""A run and its BIDS events: which volume shows the brain in which state."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtdecode.errors import ConfigError

MAX_PAUSE_S = 3.0
"""Events of one type that follow each other within this belong to one block."""
MIN_BLOCKS_PER_CLASS = 2
_COLUMNS = ("onset", "duration", "trial_type")


@dataclass(frozen=True, slots=True)
class Event:
    """One row of a BIDS `events.tsv`."""

    onset_s: float
    """Seconds from the run's first volume."""
    duration_s: float
    trial_type: str
    row: int
    """Line of the file, the header being line 1."""


@dataclass(frozen=True, slots=True)
class Block:
    """An uninterrupted stretch of one trial type."""

    trial_type: str
    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What each volume of a run is an example of."""

    classes: tuple[str, ...]
    label: NDArray[np.int64]
    """(volumes,) position in `classes`, -1 for volumes that belong to none."""
    block: NDArray[np.int64]
    """(volumes,) number of the block, -1 likewise."""
    acquired_s: NDArray[np.float64]
    """(volumes,) seconds from the run's first volume."""
    blocks: tuple[Block, ...]

    @property
    def chosen(self) -> NDArray[np.bool_]:
        """(volumes,) whether the volume is an example of some class."""
        return self.label >= 0


def read_events(path: Path) -> tuple[Event, ...]:
    """Read a BIDS events file (tab-separated; columns onset, duration, trial_type at least).

    Raises
    ------
    ConfigError
        Naming every row that is wrong, and the remedy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text: {error}") from error
    rows = list(csv.reader(text.splitlines(), delimiter="\t"))
    header = [name.strip() for name in rows[0]] if rows else []
    if missing := [name for name in _COLUMNS if name not in header]:
        hint = "it looks comma-separated: save it with tabs" if "," in text else "add them"
        raise ConfigError(f"{path}: no column {', '.join(missing)} in the first row; {hint}")
    places = [header.index(name) for name in _COLUMNS]
    events: list[Event] = []
    problems: list[str] = []
    for number, row in enumerate(rows[1:], start=2):
        if not row or all(not cell.strip() for cell in row):
            continue
        try:
            onset, duration, trial_type = (row[place].strip() for place in places)
            events.append(_event(onset, duration, trial_type, number))
        except (IndexError, ValueError) as error:
            problems.append(f"{path}, row {number}: {error}; BIDS wants seconds, n/a for none")
    if problems:
        raise ConfigError(problems)
    if not events:
        raise ConfigError(f"{path}: no event; add a row per event")
    return tuple(sorted(events, key=lambda event: event.onset_s))


def find_blocks(events: tuple[Event, ...]) -> tuple[Block, ...]:
    """Join events of one type that follow each other within `MAX_PAUSE_S` into blocks.

    Raises
    ------
    ConfigError
        If events of different types overlap, naming their rows.
    """
    blocks: list[Block] = []
    problems: list[str] = []
    for event in events:
        end_s = event.onset_s + event.duration_s
        last = blocks[-1] if blocks else None
        if last and event.trial_type == last.trial_type:
            if event.onset_s - last.end_s <= MAX_PAUSE_S:
                blocks[-1] = Block(last.trial_type, last.onset_s, max(end_s, last.end_s))
                continue
        elif last and event.onset_s < last.end_s - 1e-3:
            problems.append(
                f"events row {event.row}: {event.trial_type} at {event.onset_s:g} s starts before "
                f"{last.trial_type} ends at {last.end_s:g} s; a volume can have one state only"
            )
        blocks.append(Block(event.trial_type, event.onset_s, end_s))
    if problems:
        raise ConfigError(problems)
    return tuple(blocks)


def label_volumes(
    blocks: tuple[Block, ...], acquired_s: NDArray[np.float64], haemodynamic_lag_s: float
) -> Labels:
    """Label every volume acquired between a block's onset and end, both shifted by the lag.

    Parameters
    ----------
    blocks
        In the order of their onsets.
    acquired_s
        (volumes,) acquisition starts, seconds from the run's first volume.
    haemodynamic_lag_s
        Delay of the response, seconds.

    Raises
    ------
    ConfigError
        If a block lies beyond the run, or a class has fewer than two blocks.
    """
    classes = tuple(sorted({block.trial_type for block in blocks}))
    label = np.full(acquired_s.shape, -1, dtype=np.int64)
    number = np.full(acquired_s.shape, -1, dtype=np.int64)
    problems: list[str] = []
    for position, block in enumerate(blocks):
        inside = (acquired_s >= block.onset_s + haemodynamic_lag_s) & (
            acquired_s < block.end_s + haemodynamic_lag_s
        )
        if not inside.any():
            problems.append(
                f"{block.trial_type} block at {block.onset_s:g} s: the run has no volume there "
                f"(it ends at {acquired_s[-1]:g} s); are these the events of this run?"
            )
        label[inside] = classes.index(block.trial_type)
        number[inside] = position
    for name in classes:
        count = sum(block.trial_type == name for block in blocks)
        if count < MIN_BLOCKS_PER_CLASS:
            problems.append(
                f"{name}: {count} block, at least {MIN_BLOCKS_PER_CLASS} are needed to hold one out"
            )
    if len(classes) < 2:
        problems.append(f"only {', '.join(classes)}: a decoder needs at least two trial types")
    if problems:
        raise ConfigError(problems)
    return Labels(classes, label, number, acquired_s, blocks)


def _event(onset: str, duration: str, trial_type: str, row: int) -> Event:
    onset_s = float(onset)
    duration_s = 0.0 if duration == "n/a" else float(duration)
    if not (math.isfinite(onset_s) and math.isfinite(duration_s) and duration_s >= 0):
        raise ValueError(f"onset {onset!r} or duration {duration!r} is not a time")
    if not trial_type or trial_type == "n/a":
        raise ValueError("trial_type is empty")
    return Event(onset_s, duration_s, trial_type, row)
