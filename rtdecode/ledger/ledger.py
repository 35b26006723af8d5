"""Assigns objects to volumes: order, duplicates, gaps, other series. No clock, no input or output.

Objects may arrive in any order, twice, late or never. The ledger gives out every index exactly
once and in the order of the headers' numbering: as a `Volume`, or as a `Skipped` with the reason.
Series that cannot belong to the run are left out.
"""

import logging
import math
from collections.abc import Iterable
from typing import Any, Self

from rtdecode.dicom import Assembler, OtherImageError, Parsed, Slab, SlabStatus, same_place
from rtdecode.errors import VolumeError
from rtdecode.ledger.memory import Memory
from rtdecode.ledger.receipts import IMPORTANCE, LedgerReceipt
from rtdecode.ledger.roster import Roster, RunMembership
from rtdecode.ledger.scan_protocol import ScanProtocol
from rtdecode.types import Skipped, SkipReason, Stamps, Volume

_log = logging.getLogger(__name__)

_DEFAULT_PATIENCE_S = 2.0
"""Patience if there is no repetition time."""


class Ledger:
    """Assigns every object to a volume and gives out the volumes in order.

    Parameters
    ----------
    patience_s
        Time for which a volume may be missing after a later one is complete; by default one
        repetition time.
    protocol
        The protocol of the run, where it is known: series that differ are left out.
    follow
        Whether a later series of the same protocol begins another run (`LedgerReceipt.NEXT_RUN`).
    former
        Digests of the series of earlier runs: none of them belongs to this run.
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
        self.next_index = 0
        """The first index that was not given out."""
        self._last_index = -1
        self._skipped: set[int] = set()
        self._complete_ns: dict[int, int] = {}
        self._started_ns: dict[int, int] = {}
        self.conflict = ""
        """The message about the newest conflict; empty without any."""
        self._conflict_index = -1

    @property
    def pending(self) -> bool:
        """Whether objects are held for volumes that were not given out."""
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
        """Digests of other series that fit the protocol and arrived during the run."""
        return self._roster.rivals

    @property
    def notice(self) -> str:
        """The message about the newest series that was left out; empty without any."""
        return self._roster.notice

    @property
    def patience_s(self) -> float:
        """Time for which the ledger waits for a volume after a later one is complete."""
        if self._patience_s is not None:
            return self._patience_s
        series = self._assembler.series if self._assembler else None
        if series is None or math.isnan(series.repetition_time_s):
            return _DEFAULT_PATIENCE_S
        return series.repetition_time_s

    def add(
        self, parsed: Parsed, stamps: Stamps, now_ns: int
    ) -> tuple[LedgerReceipt, list[Volume | Skipped]]:
        """Add an object.

        Parameters
        ----------
        parsed
            The object.
        stamps
            When it was received, journalled and parsed. A volume gets the stamps of the object that
            completes it.
        now_ns
            Present time, monotonic nanoseconds.

        Returns
        -------
        tuple of LedgerReceipt and list
            The receipt, and the items that are given out now, in index order.
        """
        own = None if self._assembler is None else self._assembler.series
        if self._is_other_size(parsed):
            return LedgerReceipt.CONFLICT, []
        membership = self._roster.judge(parsed, own)
        if membership is RunMembership.NEXT:
            return LedgerReceipt.NEXT_RUN, []
        if membership is RunMembership.OTHER:
            return LedgerReceipt.WRONG_SERIES, []
        if self._assembler is None:
            self._assembler = Assembler(parsed.series)
        receipts = [self._place(self._assembler, slab, stamps) for slab in parsed.slabs]
        receipt = min(receipts, key=IMPORTANCE.index)
        if self._update_times(self._assembler, now_ns) and receipt is LedgerReceipt.PLACED:
            receipt = LedgerReceipt.COMPLETED
        return receipt, self._emit_complete()

    def settle(self) -> None:
        """From now on, no other series begins another run."""
        self._roster.settle()

    def leave_out(self, other: OtherImageError) -> LedgerReceipt:
        """Leave out an object that is not an MR magnitude image."""
        self._roster.leave_out(other)
        return LedgerReceipt.WRONG_SERIES

    def overdue(self, now_ns: int) -> list[int]:
        """Return the indices to give up, in order.

        An index is overdue when, for longer than the patience, a later volume has been complete, or
        an object has been held that is at least two volumes later. The second rule is for a series
        in which every volume misses a slice.
        """
        patience_ns = round(self.patience_s * 1e9)
        complete = [i for i, since in self._complete_ns.items() if now_ns - since > patience_ns]
        started = [i - 1 for i, since in self._started_ns.items() if now_ns - since > patience_ns]
        stop = max([*complete, *started], default=-1)
        return [i for i in range(self.next_index, stop) if i not in self._complete_ns]

    def give_up(self, index: int) -> list[Volume | Skipped]:
        """Skip an index, and every earlier one that is still missing.

        Returns
        -------
        list
            The items that are given out now, in index order; empty if the index was given out
            before.
        """
        out: list[Volume | Skipped] = []
        while self.next_index <= index:
            out.append(self._emit())
        return out + self._emit_complete()

    def close(self) -> list[Volume | Skipped]:
        """End the run, and give out every index up to the last one."""
        if self._assembler is None:
            return []
        self._assembler.finish()
        held = self._assembler.indices()
        return self.give_up(max([self._last_index, *held]))

    def state(self) -> dict[str, Any]:
        """Return the state for a restart, as JSON values.

        It does not contain the objects that are held for later volumes: the journal has them, and
        the caller adds them again.
        """
        return {
            "patience_s": self._patience_s,
            "next_index": self.next_index,
            "skipped": sorted(self._skipped),
            "roster": self._roster.state(),
            "memory": self._memory.state(),
            "conflict_index": self._conflict_index,
            "assembler": None if self._assembler is None else self._assembler.state(),
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """Return a ledger that continues from a result of `state`."""
        ledger = cls(state["patience_s"])
        ledger.next_index = state["next_index"]
        ledger._last_index = state["next_index"] - 1
        ledger._skipped = set(state["skipped"])
        # Checkpoints of earlier versions have no roster and no memory.
        if "roster" in state:
            ledger._roster = Roster.restore(state["roster"])
            ledger._memory = Memory.restore(state["memory"])
            ledger._conflict_index = state["conflict_index"]
        if state["assembler"] is not None:
            ledger._assembler = Assembler.restore(state["assembler"])
        return ledger

    def _place(self, assembler: Assembler, slab: Slab, stamps: Stamps) -> LedgerReceipt:
        index = assembler.index_of(slab)
        if index in self._skipped:
            return LedgerReceipt.LATE
        if index is not None and index < self.next_index:
            held = self._memory.compare(index, slab)
        else:
            held = assembler.hold(slab, stamps)
        if held is SlabStatus.NEW:
            return LedgerReceipt.PLACED
        if held is SlabStatus.REPEATED:
            return LedgerReceipt.DUPLICATE
        self._report_conflict(index, slab)
        return LedgerReceipt.CONFLICT

    def _is_other_size(self, parsed: Parsed) -> bool:
        """Whether an object has another matrix than the run's image at the same place."""
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
        self.conflict = (
            f"volume {'?' if index is None else index} has two different images at one place "
            f"({slab.location_mm:.1f} mm along the slices; the second of {columns}x{rows}): the "
            "first is kept. Does the scanner export the series twice?"
        )
        if index != self._conflict_index:  # one message for each volume
            self._conflict_index = -1 if index is None else index
            _log.error("%s", self.conflict)

    def _update_times(self, assembler: Assembler, now_ns: int) -> bool:
        """Update the times of the held volumes; return whether a volume is newly complete."""
        completed = False
        for index in assembler.indices():
            self._started_ns.setdefault(index, now_ns)
            self._last_index = max(self._last_index, index)
            if index not in self._complete_ns and assembler.is_whole(index):
                self._complete_ns[index] = now_ns
                completed = True
        return completed

    def _emit_complete(self) -> list[Volume | Skipped]:
        out = []
        while self._assembler is not None and self._assembler.is_whole(self.next_index):
            out.append(self._emit())
        return out

    def _emit(self) -> Volume | Skipped:
        """Return the volume of the next index, or why it is skipped, and move to the next one."""
        index = self.next_index
        item = self._item(index)
        self.next_index += 1
        self._last_index = max(self._last_index, index)
        self._complete_ns.pop(index, None)
        self._started_ns.pop(index, None)
        if isinstance(item, Skipped):
            self._skipped.add(index)
        return item

    def _item(self, index: int) -> Volume | Skipped:
        if self._assembler is None:
            return Skipped(index, SkipReason.GAP, "no image of it arrived")
        detail = self._assembler.describe(index)
        if self._assembler.is_whole(index):
            slabs = self._assembler.slabs(index)
            try:
                volume = self._assembler.take(index)
            except VolumeError as problem:
                return Skipped(index, SkipReason.CORRUPT, f"volume {index} {problem}")
            self._memory.add(index, slabs)
            return volume
        started = index in self._assembler.indices()
        self._assembler.drop(index)
        return Skipped(index, SkipReason.INCOMPLETE if started else SkipReason.GAP, detail)
