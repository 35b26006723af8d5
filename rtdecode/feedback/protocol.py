"""What the participant is to see when: the run's blocks."""

import bisect
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rtdecode.events import read_events

Role = Literal["rest", "fixation", "feedback"]
_SAME_S = 1e-6
"""Onsets and ends nearer than this are the same: files round them."""


@dataclass(frozen=True, slots=True)
class Text:
    """An instruction, shown for as long as its block lasts."""

    text: str


@dataclass(frozen=True, slots=True)
class FeedbackBlock:
    """A stretch of the run."""

    onset_s: float
    """Seconds from the start of the first volume's acquisition."""
    duration_s: float
    trial_type: str

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Protocol:
    """A run's blocks, in order and without overlap; there is fixation between them."""

    blocks: tuple[FeedbackBlock, ...]
    roles: dict[str, Role | Text]
    """What each trial type is."""

    @property
    def end_s(self) -> float:
        """When the last block is over."""
        return self.blocks[-1].end_s

    def at(self, run_s: float) -> FeedbackBlock | None:
        """Return the block at a time of the run, or `None` between blocks."""
        after = bisect.bisect_right(self.blocks, run_s, key=lambda block: block.onset_s)
        if after and run_s < self.blocks[after - 1].end_s:
            return self.blocks[after - 1]
        return None

    def role(self, run_s: float) -> Role | Text:
        """Return what is to be seen at a time of the run."""
        block = self.at(run_s)
        return "fixation" if block is None else self.roles[block.trial_type]


def problems_of(protocol: Protocol) -> list[str]:
    """Return what is wrong with a protocol, in words."""
    blocks = protocol.blocks
    if not blocks:
        return ["the run has no blocks: give `events` (a BIDS events.tsv) or `blocks`"]
    problems = [
        f"the block {block.trial_type!r} at {block.onset_s:g} s lasts {block.duration_s:g} s; "
        "onset and duration are seconds, the duration above 0"
        for block in blocks
        if not math.isfinite(block.onset_s + block.duration_s) or block.duration_s <= 0
    ]
    problems += [
        f"the block {later.trial_type!r} at {later.onset_s:g} s begins before "
        f"{block.trial_type!r} at {block.onset_s:g} s is over; blocks must not overlap"
        for block, later in itertools.pairwise(blocks)
        if later.onset_s < block.end_s - _SAME_S
    ]
    unknown = dict.fromkeys(b.trial_type for b in blocks if b.trial_type not in protocol.roles)
    problems += [
        f"the trial type {name!r} is not in `trial_types`: say what it is (rest, fixation, "
        "feedback, or an instruction's text)"
        for name in unknown
    ]
    if not problems and "feedback" not in {protocol.roles[b.trial_type] for b in blocks}:
        problems.append("no block of the run is feedback; see `trial_types`")
    return problems


def read_blocks(path: Path) -> tuple[FeedbackBlock, ...]:
    """Read the blocks of a BIDS events file, by onset.

    Raises
    ------
    ConfigError
        Naming every row that is wrong.
    """
    return tuple(
        FeedbackBlock(event.onset_s, event.duration_s or 0.0, event.trial_type)
        for event in read_events(path, lasting=True)
    )
