"""Which volume this is: order, duplicates, gaps, foreign series. No clock, no input or output.

Objects may come in any order, twice, late or never. What goes out is strictly in the order of the
header's own count, and every index goes out exactly once: as a `Volume`, or as a `Skipped` that
says why not.
"""

import logging
import math
from enum import StrEnum
from typing import Any, Self

from rtdecode.dicom import Assembler, Parsed, Slab
from rtdecode.errors import VolumeError
from rtdecode.types import Skipped, SkipReason, Stamps, Volume

_log = logging.getLogger(__name__)

_PATIENCE_WITHOUT_REPETITION_TIME_S = 2.0


class Receipt(StrEnum):
    """What the ledger made of one object."""

    PLACED = "placed"
    """It has its place; its volume is not whole yet."""
    COMPLETED = "completed"
    """It made a volume whole (which still waits where an earlier one is missing)."""
    DUPLICATE = "duplicate"
    """It came before."""
    LATE = "late"
    """Its volume was given up."""
    WRONG_SERIES = "wrong_series"
    """It belongs to another series than the run's first object."""


class Ledger:
    """Gives every object its place and every volume its turn.

    Parameters
    ----------
    patience_s
        How long a volume may be missing after a later one is whole; one repetition time by default.
    """

    def __init__(self, patience_s: float | None = None) -> None:
        self._patience_s = patience_s
        self._assembler: Assembler | None = None
        self._next_index = 0
        self._last_index = -1
        self._skipped: set[int] = set()
        self._whole_since_ns: dict[int, int] = {}
        self._begun_since_ns: dict[int, int] = {}
        self._foreign: set[tuple[str, tuple[int, int], float]] = set()

    @property
    def next_index(self) -> int:
        """The first index that has not gone out."""
        return self._next_index

    @property
    def pending(self) -> bool:
        """Whether objects are held for volumes that have not gone out."""
        return self._assembler is not None and not self._assembler.empty

    @property
    def series_number(self) -> int | None:
        """The run's SeriesNumber, `None` before its first object."""
        return None if self._assembler is None else self._assembler.series.series_number

    def add(
        self, parsed: Parsed, stamps: Stamps, now_ns: int
    ) -> tuple[Receipt, list[Volume | Skipped]]:
        """Give an object its place.

        Parameters
        ----------
        parsed
            The object.
        stamps
            When it was received, journalled and parsed; the object that makes a volume whole gives
            the volume its stamps.
        now_ns
            The present, monotonic nanoseconds.

        Returns
        -------
        tuple of Receipt and list
            What became of the object, and what goes out now, in index order.
        """
        if self._assembler is None:
            self._assembler = Assembler(parsed.series)
        elif not self._assembler.series.same_run(parsed.series):
            self._warn_of_foreign(parsed)
            return Receipt.WRONG_SERIES, []
        receipts = [self._place(slab, stamps) for slab in parsed.slabs]
        receipt = Receipt.PLACED
        if self._note(now_ns):
            receipt = Receipt.COMPLETED
        elif Receipt.PLACED not in receipts:
            receipt = Receipt.LATE if Receipt.LATE in receipts else Receipt.DUPLICATE
        return receipt, self._drain()

    def overdue(self, now_ns: int) -> list[int]:
        """Return the indices to give up, in order.

        An index is overdue when, for longer than the patience, a later volume has been whole, or an
        object has been held that is at least two volumes later (so that a series of which every
        volume misses a slice does not stand still).
        """
        patience_ns = round(self._patience() * 1e9)
        whole = [i for i, since in self._whole_since_ns.items() if now_ns - since > patience_ns]
        begun = [i - 1 for i, since in self._begun_since_ns.items() if now_ns - since > patience_ns]
        stop = max([*whole, *begun], default=-1)
        missing = range(self._next_index, stop)
        return [i for i in missing if i not in self._whole_since_ns]

    def give_up(self, index: int) -> list[Volume | Skipped]:
        """Skip an index, and every earlier one that is still missing.

        Returns
        -------
        list
            What goes out now, in index order; empty where the index went out before.
        """
        out: list[Volume | Skipped] = []
        while self._next_index <= index:
            out.append(self._emit())
        return out + self._drain()

    def close(self) -> list[Volume | Skipped]:
        """End the run: everything up to the last index seen goes out."""
        if self._assembler is None:
            return []
        self._assembler.finish()
        held = self._assembler.indices()
        return self.give_up(max([self._last_index, *held]))

    def state(self) -> dict[str, Any]:
        """Return what a restart needs, for JSON.

        Objects that are held for volumes not yet gone out are not part of it: the journal has them,
        and the caller adds them again.
        """
        return {
            "patience_s": self._patience_s,
            "next_index": self._next_index,
            "skipped": sorted(self._skipped),
            "assembler": None if self._assembler is None else self._assembler.state(),
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """Return a ledger that goes on where `state` was taken."""
        ledger = cls(state["patience_s"])
        ledger._next_index = state["next_index"]
        ledger._last_index = state["next_index"] - 1
        ledger._skipped = set(state["skipped"])
        if state["assembler"] is not None:
            ledger._assembler = Assembler.restore(state["assembler"])
        return ledger

    def _patience(self) -> float:
        if self._patience_s is not None:
            return self._patience_s
        series = self._assembler.series if self._assembler else None
        if series is None or math.isnan(series.repetition_time_s):
            return _PATIENCE_WITHOUT_REPETITION_TIME_S
        return series.repetition_time_s

    def _place(self, slab: Slab, stamps: Stamps) -> Receipt:
        assembler = self._run()
        index = assembler.index_of(slab)
        if index is not None and index < self._next_index:
            return Receipt.LATE if index in self._skipped else Receipt.DUPLICATE
        return Receipt.PLACED if assembler.hold(slab, stamps) else Receipt.DUPLICATE

    def _note(self, now_ns: int) -> bool:
        """Note what is new; return whether a volume has become whole."""
        assembler = self._run()
        completed = False
        for index in assembler.indices():
            self._begun_since_ns.setdefault(index, now_ns)
            self._last_index = max(self._last_index, index)
            if index not in self._whole_since_ns and assembler.is_whole(index):
                self._whole_since_ns[index] = now_ns
                completed = True
        return completed

    def _drain(self) -> list[Volume | Skipped]:
        out = []
        while self._assembler is not None and self._assembler.is_whole(self._next_index):
            out.append(self._emit())
        return out

    def _emit(self) -> Volume | Skipped:
        """Return what the next index has come to, and go on to the one after it."""
        index = self._next_index
        outcome = self._outcome(index)
        self._next_index += 1
        self._last_index = max(self._last_index, index)
        self._whole_since_ns.pop(index, None)
        self._begun_since_ns.pop(index, None)
        if isinstance(outcome, Skipped):
            self._skipped.add(index)
        return outcome

    def _outcome(self, index: int) -> Volume | Skipped:
        if self._assembler is None:
            return Skipped(index, SkipReason.GAP, "no image of it came")
        detail = self._assembler.describe(index)
        if self._assembler.is_whole(index):
            try:
                return self._assembler.take(index)
            except VolumeError as problem:
                return Skipped(index, SkipReason.CORRUPT, f"volume {index} {problem}")
        begun = index in self._assembler.indices()
        self._assembler.drop(index)
        return Skipped(index, SkipReason.INCOMPLETE if begun else SkipReason.GAP, detail)

    def _run(self) -> Assembler:
        if self._assembler is None:
            raise VolumeError("comes before the run's first object")
        return self._assembler

    def _warn_of_foreign(self, parsed: Parsed) -> None:
        series = parsed.series
        key = (series.digest, series.matrix, series.echo_time_ms)
        if key in self._foreign:
            return
        self._foreign.add(key)
        _log.warning(
            "images of series %d (%dx%d, echo %g ms) are ignored: the run is series %d",
            series.series_number,
            *series.matrix,
            series.echo_time_ms,
            self._run().series.series_number,
        )
