"""The blocks of a run: what the participant sees when."""

import bisect
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rtdecode.events import read_events

Role = Literal["rest", "fixation", "feedback"]
_SAME_S = 1e-6
"""Onsets and ends that differ by less are equal, because files round them."""


@dataclass(frozen=True, slots=True)
class Text:
    """An instruction, shown during its block."""

    text: str


@dataclass(frozen=True, slots=True)
class FeedbackBlock:
    """A block of the run."""

    onset_s: float
    """Seconds since the start of the first volume's acquisition."""
    duration_s: float
    trial_type: str

    @property
    def end_s(self) -> float:
        """End of the block, seconds."""
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Protocol:
    """The blocks of a run, ordered and without overlap, with fixation between them."""

    blocks: tuple[FeedbackBlock, ...]
    roles: dict[str, Role | Text]
    """The role of each trial type."""

    @property
    def end_s(self) -> float:
        """End of the last block, seconds."""
        return self.blocks[-1].end_s

    def at(self, run_s: float) -> FeedbackBlock | None:
        """Return the block at a time of the run, or `None` between blocks."""
        after = bisect.bisect_right(self.blocks, run_s, key=lambda block: block.onset_s)
        if after and run_s < self.blocks[after - 1].end_s:
            return self.blocks[after - 1]
        return None

    def role(self, run_s: float) -> Role | Text:
        """Return what the participant sees at a time of the run."""
        block = self.at(run_s)
        return "fixation" if block is None else self.roles[block.trial_type]


def problems_of(protocol: Protocol) -> list[str]:
    """Return the problems of a protocol."""
    blocks = protocol.blocks
    if not blocks:
        return ["the run has no blocks: give `events` (a BIDS events.tsv) or `blocks`"]
    problems = [
        f"the block {block.trial_type!r} at {block.onset_s:g} s lasts {block.duration_s:g} s; "
        "onset and duration are seconds, and the duration must be above 0"
        for block in blocks
        if not math.isfinite(block.onset_s + block.duration_s) or block.duration_s <= 0
    ]
    problems += [
        f"the block {later.trial_type!r} at {later.onset_s:g} s begins before "
        f"{block.trial_type!r} at {block.onset_s:g} s ends; blocks must not overlap"
        for block, later in itertools.pairwise(blocks)
        if later.onset_s < block.end_s - _SAME_S
    ]
    unknown = dict.fromkeys(b.trial_type for b in blocks if b.trial_type not in protocol.roles)
    problems += [
        f"the trial type {name!r} is not in `trial_types`: give its role (rest, fixation, "
        "feedback, or the text of an instruction)"
        for name in unknown
    ]
    if not problems and "feedback" not in {protocol.roles[b.trial_type] for b in blocks}:
        problems.append("no block of the run has the role feedback; see `trial_types`")
    return problems


def read_blocks(path: Path) -> tuple[FeedbackBlock, ...]:
    """Read the blocks of a BIDS events file, ordered by onset.

    Raises
    ------
    ConfigError
        Names every wrong row.
    """
    return tuple(
        FeedbackBlock(event.onset_s, event.duration_s or 0.0, event.trial_type)
        for event in read_events(path, lasting=True)
    )
