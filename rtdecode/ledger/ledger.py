"""Which volume this is: order, duplicates, gaps, foreign series. No clock, no input or output.

Objects may come in any order, twice, late or never. What goes out is strictly in the order of the
header's own count, and every index goes out exactly once: as a `Volume`, or as a `Skipped` that
says why not. What cannot be the run is left out, series by series.
"""

import logging
import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Self

from rtdecode.dicom import Assembler, Held, OtherImageError, Parsed, Slab, same_place
from rtdecode.errors import VolumeError
from rtdecode.ledger.memory import Memory
from rtdecode.ledger.roster import Assignment, Roster
from rtdecode.ledger.scan_protocol import ScanProtocol
from rtdecode.types import Skipped, SkipReason, Stamps, Volume

_log = logging.getLogger(__name__)

_PATIENCE_WITHOUT_REPETITION_TIME_S = 2.0


class LedgerReceipt(StrEnum):
    """What the ledger made of one object."""

    PLACED = "placed"
    """It has its place; its volume is not whole yet."""
    COMPLETED = "completed"
    """It made a volume whole (which still waits where an earlier one is missing)."""
    DUPLICATE = "duplicate"
    """It came before."""
    LATE = "late"
    """Its volume was given up."""
    CONFLICT = "conflict"
    """Another image came before for the same place in the same volume; that one is kept."""
    WRONG_SERIES = "wrong_series"
    """It cannot be the run's, or belongs to another series."""
    NEXT_RUN = "next_run"
    """It begins another run: end this one, and add it to that run's ledger."""


_IMPORTANCE = (
    LedgerReceipt.CONFLICT,
    LedgerReceipt.PLACED,
    LedgerReceipt.LATE,
    LedgerReceipt.DUPLICATE,
)
"""What is said of an object that gives to several volumes."""


class Ledger:
    """Gives every object its place and every volume its turn.

    Parameters
    ----------
    patience_s
        How long a volume may be missing after a later one is whole; one repetition time by default.
    protocol
        The protocol of the run, where it is known: series that differ are left out.
    follow
        Whether a later series that fits begins another run (`Receipt.NEXT_RUN`).
    former
        Digests of the series of runs that have ended: none of them is this run's.
    """

    def __init__(
        self,
        patience_s: float | None = None,
        protocol: ScanProtocol | None = None,
        *,
        follow: bool = False,
        former: Iterable[str] = (),
    ) -> None:
        self._patience_s = patience_s
        self._roster = Roster(protocol, former, follow=follow)
        self._memory = Memory()
        self._assembler: Assembler | None = None
        self._next_index = 0
        self._last_index = -1
        self._skipped: set[int] = set()
        self._whole_since_ns: dict[int, int] = {}
        self._begun_since_ns: dict[int, int] = {}
        self._conflict = ""
        self._conflict_index = -1

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

    @property
    def series(self) -> str | None:
        """The digest of the run's series, `None` before its first object."""
        return None if self._assembler is None else self._assembler.series.digest

    @property
    def rivals(self) -> tuple[str, ...]:
        """Digests of the series that could have been the run's, and came second."""
        return self._roster.rivals

    @property
    def notice(self) -> str:
        """The newest series that was left out and why, for the operator; empty before."""
        return self._roster.notice

    @property
    def conflict(self) -> str:
        """The newest conflict, for the operator; empty before."""
        return self._conflict

    @property
    def patience_s(self) -> float:
        """How long a volume is waited for once a later one is whole."""
        return self._patience()

    def add(
        self, parsed: Parsed, stamps: Stamps, now_ns: int
    ) -> tuple[LedgerReceipt, list[Volume | Skipped]]:
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
        own = None if self._assembler is None else self._assembler.series
        if self._is_other_size(parsed):
            return LedgerReceipt.CONFLICT, []
        verdict = self._roster.judge(parsed, own)
        if verdict is not Assignment.OWN:
            return (
                LedgerReceipt.NEXT_RUN
                if verdict is Assignment.NEXT
                else LedgerReceipt.WRONG_SERIES,
                [],
            )
        if own is None:
            self._assembler = Assembler(parsed.series)
        receipts = [self._place(slab, stamps) for slab in parsed.slabs]
        receipt = min(receipts, key=_IMPORTANCE.index)
        if self._note(now_ns) and receipt is LedgerReceipt.PLACED:
            receipt = LedgerReceipt.COMPLETED
        return receipt, self._drain()

    def settle(self) -> None:
        """Let no other series begin another run any more."""
        self._roster.settle()

    def leave_out(self, other: OtherImageError) -> LedgerReceipt:
        """Take note of an object that is no MR magnitude image."""
        self._roster.leave_out(other)
        return LedgerReceipt.WRONG_SERIES

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
            "roster": self._roster.state(),
            "memory": self._memory.state(),
            "conflict_index": self._conflict_index,
            "assembler": None if self._assembler is None else self._assembler.state(),
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """Return a ledger that goes on where `state` was taken."""
        ledger = cls(state["patience_s"])
        ledger._next_index = state["next_index"]
        ledger._last_index = state["next_index"] - 1
        ledger._skipped = set(state["skipped"])
        # Checkpoints of earlier versions have neither.
        if "roster" in state:
            ledger._roster = Roster.restore(state["roster"])
            ledger._memory = Memory.restore(state["memory"])
            ledger._conflict_index = state["conflict_index"]
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

    def _place(self, slab: Slab, stamps: Stamps) -> LedgerReceipt:
        assembler = self._run()
        index = assembler.index_of(slab)
        if index in self._skipped:
            return LedgerReceipt.LATE
        if index is not None and index < self._next_index:
            held = self._memory.compare(index, slab)
        else:
            held = assembler.hold(slab, stamps)
        if held is Held.NEW:
            return LedgerReceipt.PLACED
        if held is Held.REPEATED:
            return LedgerReceipt.DUPLICATE
        self._report_conflict(index, slab)
        return LedgerReceipt.CONFLICT

    def _is_other_size(self, parsed: Parsed) -> bool:
        """Whether an object contradicts one of the run by its very matrix."""
        if self._assembler is None:
            return False
        own, series = self._assembler.series, parsed.series
        if series.kind or own.matrix == series.matrix or self._roster.has_left_out(series):
            return False
        if (own.digest, own.echo_time_ms) != (series.digest, series.echo_time_ms):
            return False
        for slab in parsed.slabs:
            index = self._assembler.index_of(slab)
            held = () if index is None else self._assembler.slabs(index)
            if any(same_place(slab.location_mm, other.location_mm) for other in held) or (
                index is not None and self._memory.has(index, slab.location_mm)
            ):
                self._report_conflict(index, slab)
                return True
        return False

    def _report_conflict(self, index: int | None, slab: Slab) -> None:
        columns, rows = slab.data.shape[:2]
        self._conflict = (
            f"two different images of volume {'?' if index is None else index} came for one place "
            f"({slab.location_mm:.1f} mm along the slices; the second of {columns}x{rows}): the "
            "first is kept. Does the scanner export the series twice?"
        )
        if index != self._conflict_index:  # once a volume is enough
            self._conflict_index = -1 if index is None else index
            _log.error("%s", self._conflict)

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
            slabs = self._assembler.slabs(index)
            try:
                volume = self._assembler.take(index)
            except VolumeError as problem:
                return Skipped(index, SkipReason.CORRUPT, f"volume {index} {problem}")
            self._memory.keep(index, slabs)
            return volume
        begun = index in self._assembler.indices()
        self._assembler.drop(index)
        return Skipped(index, SkipReason.INCOMPLETE if begun else SkipReason.GAP, detail)

    def _run(self) -> Assembler:
        if self._assembler is None:
            raise VolumeError("comes before the run's first object")
        return self._assembler
