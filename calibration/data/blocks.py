"""Blocks of BIDS events, and the classes to decode."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from rtdecode.errors import ConfigError
from rtdecode.events import Block, Event, joined, read_events
from rtdecode.types import NONE, Volume


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """The trial types to decode, and the names of their classes."""

    classes: tuple[str, ...]
    of: dict[str, str]
    """The class of each trial type."""


def find_blocks(
    events: Sequence[Event], path: Path, run_s: float, run: int = 0
) -> tuple[Block, ...]:
    """Join consecutive events of one type into blocks if they are at most `MAX_PAUSE_S` apart.

    Parameters
    ----------
    events
        Events in the order of their onsets.
    path
        Their file, for error messages.
    run_s
        End of the run's last volume, seconds.
    run
        Number of the run, from 0.

    Raises
    ------
    ConfigError
        With the rows of events that overlap, have no duration or lie beyond the run.
    """
    outside = [event for event in events if not 0 <= event.onset_s < run_s]
    problems = [
        f"{path}, row {event.row}: {event.trial_type} at {event.onset_s:g} s lies outside "
        f"the run, which lasts {run_s:g} s; are these the events of this run?"
        for event in outside
    ]
    known = [replace(event, duration_s=event.duration_s or 0.0) for event in events]
    blocks = [
        Block(
            event.trial_type,
            event.onset_s,
            event.end_s,
            event.row,
            run,
        )
        for event in joined([event for event in known if 0 <= event.onset_s < run_s])
    ]
    problems += [
        f"{path}, row {later.row}: {later.trial_type} at {later.onset_s:g} s starts before "
        f"{block.trial_type} (row {block.row}) ends at {block.end_s:g} s; a volume can have "
        "one state only: correct the onsets, or merge the two with --classes"
        for block, later in pairwise(blocks)
        if later.trial_type != block.trial_type and later.onset_s < block.end_s - 1e-3
    ]
    problems += [
        f"{path}, row {block.row}: {block.trial_type} has no duration; give it in seconds"
        for block in blocks
        if not block.end_s > block.onset_s
    ]
    if problems:
        raise ConfigError(problems)
    return tuple(blocks)


def read_blocks(
    runs: Sequence[Sequence[Volume]], events: Sequence[Path], repetition_time_s: float
) -> tuple[tuple[Block, ...], ...]:
    """Read the blocks of each run from its events file."""
    return tuple(
        find_blocks(read_events(path), path, volumes[-1].acquired_s + repetition_time_s, number)
        for number, (volumes, path) in enumerate(zip(runs, events, strict=False))
    )


def parse_classes(text: str | None, present: Sequence[str]) -> ClassSpec:
    """Parse `--classes`: `face+body:people,house` makes the classes people and house.

    Parameters
    ----------
    text
        The option's value. None: each trial type is a class.
    present
        The trial types of the runs.

    Raises
    ------
    ConfigError
        With every problem; the message for an unknown type lists the existing types.
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
                        f"--classes: no trial type {trial_type!r} in the events; they contain "
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
    if NONE in spec.classes:
        raise ConfigError(
            f"a class cannot be called {NONE}, which means no decision; rename it with "
            f"--classes {NONE}:another_name"
        )
    return spec
