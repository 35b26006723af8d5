"""BIDS events files: what was presented when, or is to be."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rtdecode.errors import ConfigError

COLUMNS = ("onset", "duration", "trial_type")
MISSING = "n/a"
MAX_PAUSE_S = 3.0
"""Events of one type that follow each other within this belong to one block."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row of an `events.tsv`."""

    onset_s: float
    """Since the acquisition of the run's first volume began."""
    duration_s: float | None
    """`None` where it is not known."""
    trial_type: str
    row: int = 0
    """Line of the file, the header being line 1; 0 where it is from none."""

    @property
    def end_s(self) -> float:
        """When the event ends: at its onset where the duration is not known."""
        return self.onset_s + (self.duration_s or 0.0)


@dataclass(frozen=True, slots=True)
class Block:
    """An uninterrupted stretch of one trial type; seconds from the run's first volume."""

    trial_type: str
    onset_s: float
    end_s: float
    row: int = 0
    """Line of the events file at which the block begins; 0 where it is from no file."""
    run: int = 0
    """Number of the run, from 0."""


def read_events(path: Path, *, lasting: bool = False) -> tuple[Event, ...]:
    """Read a BIDS events file (tab-separated; columns onset, duration, trial_type at least).

    Parameters
    ----------
    path
        The file.
    lasting
        Whether each event must have a duration.

    Returns
    -------
    The events in order of their onsets.

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
    if missing := [name for name in COLUMNS if name not in header]:
        hint = "it looks comma-separated: save it with tabs" if "," in text else "add them"
        raise ConfigError(f"{path}: no column {', '.join(missing)} in the first row; {hint}")
    places = [header.index(name) for name in COLUMNS]
    events: list[Event] = []
    problems: list[str] = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            onset, duration, trial_type = (row[place].strip() for place in places)
            events.append(_event(onset, duration, trial_type, number, lasting=lasting))
        except (IndexError, ValueError) as error:
            problems.append(f"{path}, row {number}: {error}; BIDS wants seconds, n/a for none")
    if problems:
        raise ConfigError(problems)
    if not events:
        raise ConfigError(f"{path}: no event; add a row per event")
    return tuple(sorted(events, key=lambda event: event.onset_s))


def joined(events: Sequence[Event]) -> tuple[Event, ...]:
    """Make events of one type that follow each other within `MAX_PAUSE_S` one: a block.

    Parameters
    ----------
    events
        In the order of their onsets. One whose duration is not known stays by itself.
    """
    blocks: list[Event] = []
    for event in events:
        last = blocks[-1] if blocks else None
        if (
            last is None
            or last.trial_type != event.trial_type
            or last.duration_s is None
            or event.duration_s is None
            or event.onset_s > last.onset_s + last.duration_s + MAX_PAUSE_S
        ):
            blocks.append(event)
            continue
        end_s = max(last.onset_s + last.duration_s, event.onset_s + event.duration_s)
        blocks[-1] = replace(last, duration_s=end_s - last.onset_s)
    return tuple(blocks)


def _event(onset: str, duration: str, trial_type: str, row: int, *, lasting: bool) -> Event:
    onset_s = float(onset)
    duration_s = None if duration in {"", MISSING} else float(duration)
    if not (math.isfinite(onset_s) and (duration_s is None or 0 <= duration_s < math.inf)):
        raise ValueError(f"onset {onset!r} or duration {duration!r} is not a time")
    if trial_type in {"", MISSING} or not trial_type.isprintable():
        raise ValueError("trial_type is empty, or not in printable characters")
    if lasting and duration_s is None:
        raise ValueError("no duration")
    return Event(onset_s, duration_s, trial_type, row)
