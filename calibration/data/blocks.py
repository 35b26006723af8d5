"""BIDS events: what was shown when, and which of it is to be decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from rtdecode.errors import ConfigError
from rtdecode.events import Block, Event, joined
from rtdecode.types import NONE


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """Which trial types are decoded, and under which names."""

    classes: tuple[str, ...]
    of: dict[str, str]
    """From trial type to class."""


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
        "one state only: mend the onsets, or merge the two with --classes"
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
    if NONE in spec.classes:
        raise ConfigError(f"a class cannot be called {NONE}: it means no decision; rename it "
                          f"with --classes {NONE}:another_name")  # fmt: skip
    return spec
