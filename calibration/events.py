"""BIDS events: what was shown when, and which of it is to be decoded."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rtdecode.errors import ConfigError

MAX_PAUSE_S = 3.0
"""Events of one type that follow each other within this belong to one block."""
RESERVED = "none"
"""What a decoder says when it does not decide."""
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
    row: int = 0
    """Line of the file at which it begins."""
    run: int = 0


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """Which trial types are decoded, and under which names."""

    classes: tuple[str, ...]
    of: dict[str, str]
    """From trial type to class."""


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


def find_blocks(
    events: Sequence[Event], path: Path, run_s: float, run: int = 0
) -> tuple[Block, ...]:
    """Join events of one type that follow each other within `MAX_PAUSE_S` into blocks.

    Parameters
    ----------
    events
        In the order of their onsets.
    path
        Where they come from, for the errors.
    run_s
        When the run's last volume ends.
    run
        Its number, from 0.

    Raises
    ------
    ConfigError
        Naming the rows of events that overlap, have no duration or lie beyond the run.
    """
    blocks: list[Block] = []
    problems: list[str] = []
    for event in events:
        end_s = event.onset_s + event.duration_s
        last = blocks[-1] if blocks else None
        if event.onset_s < 0 or event.onset_s >= run_s:
            problems.append(
                f"{path}, row {event.row}: {event.trial_type} at {event.onset_s:g} s lies outside "
                f"the run, which lasts {run_s:g} s; are these the events of this run?"
            )
            continue
        if last and event.trial_type == last.trial_type:
            if event.onset_s - last.end_s <= MAX_PAUSE_S:
                blocks[-1] = replace(last, end_s=max(end_s, last.end_s))
                continue
        elif last and event.onset_s < last.end_s - 1e-3:
            problems.append(
                f"{path}, row {event.row}: {event.trial_type} at {event.onset_s:g} s starts before "
                f"{last.trial_type} (row {last.row}) ends at {last.end_s:g} s; a volume can have "
                "one state only: mend the onsets, or merge the two with --classes"
            )
        blocks.append(Block(event.trial_type, event.onset_s, end_s, event.row, run))
    problems += [
        f"{path}, row {block.row}: {block.trial_type} has no duration; give it in seconds"
        for block in blocks
        if not block.end_s > block.onset_s
    ]
    if problems:
        raise ConfigError(problems)
    return tuple(blocks)


def parse_classes(text: str | None, present: Sequence[str]) -> ClassSpec:
    """Read what `--classes` says: `face+body:people,house` makes the classes people and house.

    Parameters
    ----------
    text
        None: every trial type is a class of its own.
    present
        The trial types of the runs.

    Raises
    ------
    ConfigError
        With every problem; unknown types are named with those that are there.
    """
    if text is None:
        names = tuple(sorted(set(present)))
        spec = ClassSpec(names, {name: name for name in names})
    else:
        spec = ClassSpec((), {})
        problems: list[str] = []
        for part in text.split(","):
            joined, _, name = part.strip().partition(":")
            types = [each.strip() for each in joined.split("+")]
            name = name.strip() or "+".join(types)
            for trial_type in types:
                if trial_type not in present:
                    problems.append(
                        f"--classes: no trial type {trial_type!r} in the events; there are "
                        f"{', '.join(sorted(set(present)))}"
                    )
                elif trial_type in spec.of:
                    problems.append(f"--classes: {trial_type} is named twice; name it once")
                spec.of[trial_type] = name
            spec = ClassSpec(
                (*spec.classes, name) if name not in spec.classes else spec.classes, spec.of
            )
        if problems:
            raise ConfigError(problems)
    if RESERVED in spec.classes:
        raise ConfigError(f"a class cannot be called {RESERVED}: it means no decision; rename it "
                          f"with --classes {RESERVED}:another_name")  # fmt: skip
    return spec


def _event(onset: str, duration: str, trial_type: str, row: int) -> Event:
    onset_s = float(onset)
    duration_s = 0.0 if duration == "n/a" else float(duration)
    if not (math.isfinite(onset_s) and math.isfinite(duration_s) and duration_s >= 0):
        raise ValueError(f"onset {onset!r} or duration {duration!r} is not a time")
    if not trial_type or trial_type == "n/a":
        raise ValueError("trial_type is empty")
    return Event(onset_s, duration_s, trial_type, row)
