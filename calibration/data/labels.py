"""Class labels of volumes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from calibration.data.blocks import ClassSpec
from rtdecode.errors import ConfigError
from rtdecode.events import Block
from rtdecode.report_kit import count
from rtdecode.types import Bool, Float64

REST = "rest"
TASK = "task"
MIN_BLOCKS_PER_CLASS = 2
MIN_PAUSE_S = 4.0
"""Minimum duration of a rest block."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Class and block of each volume of one or several runs."""

    classes: tuple[str, ...]
    label: NDArray[np.int64]
    """(n,) position in `classes`, -1 for volumes that are not an example."""
    block: NDArray[np.int64]
    """(n,) number of the block in `blocks`, -1 for volumes that are not an example."""
    rest: Bool
    """(n,) whether the volume lies between blocks, shifted by the lag. Some of these volumes still
    contain the end of a response."""
    run: NDArray[np.int64]
    """(n,) number of the run, from 0."""
    acquired_s: Float64
    """(n,) seconds from the first volume of the volume's run."""
    blocks: tuple[Block, ...]
    """The blocks of the classes, of all runs."""
    lag_s: float

    @property
    def chosen(self) -> Bool:
        """(n,) whether the volume is an example of some class."""
        return self.label >= 0

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def take(self, rows: NDArray[np.generic]) -> Self:
        """Return the labels of some rows (mask or row numbers); the numbers of blocks are kept."""
        return replace(
            self,
            label=self.label[rows],
            block=self.block[rows],
            rest=self.rest[rows],
            run=self.run[rows],
            acquired_s=self.acquired_s[rows],
        )

    def only_usable(self, usable: Bool) -> Self:
        """Return labels in which unusable volumes are neither an example nor rest."""
        return replace(
            self,
            label=np.where(usable, self.label, -1),
            block=np.where(usable, self.block, -1),
            rest=self.rest & usable,
        )

    def block_labels(self) -> NDArray[np.int64]:
        """Return each block's class, (blocks,); -1 for a block without volumes."""
        of = np.full(len(self.blocks), -1, dtype=np.int64)
        of[self.block[self.chosen]] = self.label[self.chosen]
        return of

    def with_block_labels(self, of: NDArray[np.int64]) -> Self:
        """Return labels with other classes of the blocks, (blocks,)."""
        return replace(self, label=np.where(self.chosen, of[self.block], -1))


def label_volumes(
    runs: Sequence[tuple[Block, ...]],
    acquired_s: Sequence[Float64],
    classes: ClassSpec,
    lag_s: float,
    *,
    rest: bool = False,
    min_blocks: int = MIN_BLOCKS_PER_CLASS,
) -> Labels:
    """Label every volume acquired between a block's onset and end, both shifted by the lag.

    Parameters
    ----------
    runs
        Each run's blocks, in the order of their onsets.
    acquired_s
        Each run's acquisition starts, (volumes,), seconds from the run's first volume.
    classes
        Which trial types are decoded; blocks of others are neither examples nor rest.
    lag_s
        Delay of the response, seconds.
    rest
        Make the pauses a class.
    min_blocks
        Minimum number of blocks of each class. Held-out evaluation needs two.

    Raises
    ------
    ConfigError
        If a block has no volume, or a class has too few blocks.
    """
    names = (*classes.classes, *((REST,) if rest else ()))
    blocks: list[Block] = []
    parts: list[tuple[NDArray[np.int64], Bool, NDArray[np.int64]]] = []
    problems: list[str] = []
    for run, (run_blocks, times) in enumerate(zip(runs, acquired_s, strict=True)):
        number = np.full(times.shape, -1, dtype=np.int64)
        idle = np.ones(times.shape, dtype=bool)
        for block in run_blocks:
            after_s = block.end_s + lag_s
            inside = (times >= block.onset_s + lag_s) & (times < after_s)
            idle &= ~inside
            name = classes.of.get(block.trial_type)
            if name is None:
                continue
            if not inside.any():
                problems.append(
                    f"run {run + 1}, events row {block.row}: no volume shows {block.trial_type} at "
                    f"{block.onset_s:g} s (the run ends at {times[-1]:g} s); are these the events "
                    "of this run?"
                )
            number[inside] = len(blocks)
            blocks.append(replace(block, trial_type=name, run=run))
        if rest:
            for first, end in _intervals(idle):
                if times[end - 1] - times[first] < MIN_PAUSE_S:
                    continue
                number[first:end] = len(blocks)
                blocks.append(Block(REST, float(times[first]), float(times[end - 1]), 0, run))
            idle = np.zeros_like(idle)
        parts.append((number, idle, np.full(times.shape, run, dtype=np.int64)))
    problems += _too_few(names, blocks, min_blocks)
    if problems:
        raise ConfigError(problems)
    number, idle, run_of = (np.concatenate(each) for each in zip(*parts, strict=True))
    of = np.array([*(names.index(block.trial_type) for block in blocks), -1], dtype=np.int64)
    return Labels(
        classes=names,
        label=of[number],
        block=number,
        rest=idle,
        run=run_of,
        acquired_s=np.concatenate(acquired_s),
        blocks=tuple(blocks),
        lag_s=lag_s,
    )


def no_labels(classes: tuple[str, ...]) -> Labels:
    """Return the labels of no volumes."""
    none = np.zeros(0, dtype=np.int64)
    return Labels(classes, none, none, none.astype(bool), none, none.astype(float), (), 0.0)


def left_out(labels: Labels, usable: Bool) -> tuple[str, ...]:
    """Describe each block without any usable volume, with the reason.

    Parameters
    ----------
    labels
        Of all volumes, usable or not.
    usable
        (n,) whether each volume counts as evidence.
    """
    found = []
    for number, block in enumerate(labels.blocks):
        rows = labels.block == number
        if not rows.any() or usable[rows].any():
            continue
        first_usable_s = labels.acquired_s[(labels.run == block.run) & usable].min(initial=np.inf)
        early = labels.acquired_s[rows].max() < first_usable_s
        reason = (
            "the statistics of the run were not yet known"
            if early
            else "the head moved or the signal was lost in all of its volumes"
        )
        where = f"{block.onset_s:.0f} s of run {block.run + 1}"
        found.append(f"left out: {block.trial_type} at {where}: {reason}")
    return tuple(found)


def _intervals(mask: Bool) -> list[tuple[int, int]]:
    """Return start and end (exclusive) of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(end)) for first, end in edges.reshape(-1, 2)]


def _too_few(names: Sequence[str], blocks: Sequence[Block], least: int) -> list[str]:
    problems = []
    for name in names:
        found = sum(block.trial_type == name for block in blocks)
        if found < least:
            problems.append(
                f"{name}: {count(found, 'block')} in all runs, at least "
                f"{least} are needed to hold one out; leave the class out, merge it "
                "(--classes), or add a run"
            )
    if len(names) < 2:
        problems.append(
            f"only {', '.join(names)}: a decoder needs at least two classes; --rest adds the pauses"
        )
    return problems
