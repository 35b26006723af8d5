"""Assemble volumes from the slabs of one run. The ledger uses it live, `assemble` for a folder.

Most headers give the volume of a slice and the number of slices. Otherwise both are learnt once
from the series: the number of slices from the first volume that another one follows, the volume
from InstanceNumber and the first location that is scanned twice.
"""

import logging
import math
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np

from rtdecode.dicom.slice_geometry import even_order
from rtdecode.dicom.values import Series, Slab
from rtdecode.errors import VolumeError
from rtdecode.types import Float32, Float64, Identity, Stamps, Volume, frozen

_log = logging.getLogger(__name__)

_SAME_PLACE_MM = 1e-2
_DAY_S = 86400.0


class SlabStatus(StrEnum):
    """Result of giving a slab to the assembler."""

    NEW = "new"
    """The slab is held."""
    REPEATED = "repeated"
    """An equal slab is held already."""
    DIFFERENT = "different"
    """Another slab is held at its location, or its volume is whole without it. That is kept."""


@dataclass(slots=True)
class _Partial:
    """The slabs of one volume that are held so far."""

    slabs: list[Slab] = field(default_factory=list)
    stamps: Stamps = field(default_factory=Stamps)

    @property
    def slices(self) -> int:
        return sum(slab.data.shape[2] for slab in self.slabs)


@dataclass(slots=True)
class _Timeline:
    """Acquisition times of the run, relative to its first volume."""

    index: int = -1
    acquisition_clock_s: float | None = None
    trigger_clock_s: float | None = None
    last_s: float = -math.inf

    def acquired_s(self, index: int, repetition_s: float, slabs: list[Slab]) -> float:
        """Return seconds since volume 0, by the first clock that agrees with the volume count."""
        nominal = index * (0.0 if math.isnan(repetition_s) else repetition_s)
        acquisition = min(s.acquisition_clock_s for s in slabs)
        trigger = min(s.trigger_clock_s for s in slabs)
        acquired = nominal
        if self.index < 0:
            self.index = index
            self.acquisition_clock_s = None if math.isnan(acquisition) else acquisition
            self.trigger_clock_s = None if math.isnan(trigger) else trigger
        else:
            start_s = self.index * (0.0 if math.isnan(repetition_s) else repetition_s)
            for origin, clock in (
                (self.acquisition_clock_s, acquisition),
                (self.trigger_clock_s, trigger),
            ):
                if origin is None or math.isnan(clock):
                    continue
                elapsed = (clock - origin) % _DAY_S  # a run may continue past midnight
                if self._is_plausible(elapsed, start_s, index - self.index, repetition_s):
                    acquired = start_s + elapsed
                    break
        self.last_s = acquired
        return acquired

    def _is_plausible(
        self, elapsed: float, start_s: float, volumes: int, repetition_s: float
    ) -> bool:
        """Return whether a clock advanced by half to twice the duration of these volumes."""
        if start_s + elapsed <= self.last_s:
            return False
        return math.isnan(repetition_s) or 0.5 <= elapsed / (volumes * repetition_s) <= 2.0


class Assembler:
    """Assembles volumes from the slabs of one run, whatever the order of arrival.

    It does not handle gaps or deadlines.

    Parameters
    ----------
    series
        The run's series, from its first object.
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self._partials: dict[int, _Partial] = {}
        self._unplaced: list[tuple[Slab, Stamps]] = []
        self._slices: int | None = None
        self._period: int | None = None
        self._by_place = False
        self._timeline = _Timeline()
        self._warned_clash = False

    @property
    def empty(self) -> bool:
        """Whether no slab is held."""
        return not self._partials and not self._unplaced

    def index_of(self, slab: Slab) -> int | None:
        """Return the index of a slab's volume, from 0; `None` while it is unknown."""
        if slab.temporal is not None:
            return slab.temporal - 1
        return None if self._period is None else (slab.instance - 1) // self._period

    def hold(self, slab: Slab, stamps: Stamps) -> SlabStatus:
        """Hold a slab if it is the first at its location in its volume."""
        index = self.index_of(slab)
        if index is not None:
            return self._insert(index, slab, stamps)
        for other, _ in self._unplaced:
            if other.instance == slab.instance and _same_place(other, slab):
                return _compare(other, slab)
        self._unplaced.append((slab, stamps))
        self._learn_period(slab)
        return SlabStatus.NEW

    def finish(self) -> None:
        """Complete the volumes from the slabs held, after the last slab."""
        by_place: list[list[tuple[Slab, Stamps]]] = []
        for slab, stamps in sorted(self._unplaced, key=lambda held: held[0].instance):
            for held in by_place:
                if _same_place(held[0][0], slab):
                    held.append((slab, stamps))
                    break
            else:
                by_place.append([(slab, stamps)])
        if self._unplaced and self._slices is None:
            self._slices = len(by_place)
        self._unplaced.clear()
        # Each volume has one image at each location: the n-th image belongs to the n-th volume.
        for held in by_place:
            for index, (slab, stamps) in enumerate(held):
                self._insert(index, slab, stamps)
        if self._slices is None and self._partials:
            self._slices = max(p.slices for p in self._partials.values())

    def indices(self) -> list[int]:
        """Return the indices of the volumes that have slabs, in order."""
        return sorted(self._partials)

    def is_whole(self, index: int) -> bool:
        """Return whether every slice of a volume is held."""
        partial = self._partials.get(index)
        if partial is None:
            return False
        expected = partial.slabs[0].slices or self._slices
        return expected is not None and partial.slices >= expected

    def describe(self, index: int) -> str:
        """Describe how many slices of a volume are held."""
        partial = self._partials.get(index)
        if partial is None:
            return "no image of it arrived"
        expected = partial.slabs[0].slices or self._slices
        return f"{partial.slices} of {expected or 'an unknown number of'} slices arrived"

    def slabs(self, index: int) -> tuple[Slab, ...]:
        """Return the slabs of a volume that are held."""
        partial = self._partials.get(index)
        return () if partial is None else tuple(partial.slabs)

    def drop(self, index: int) -> None:
        """Release the slabs of a volume."""
        self._partials.pop(index, None)

    def take(self, index: int) -> Volume:
        """Return a whole volume and release its slabs. Volumes must be taken in order.

        Raises
        ------
        VolumeError
            Its slices do not make one volume. Its slabs are released too.
        """
        partial = self._partials.pop(index)
        data, affine = _stack(partial.slabs)
        repetition_s = self.series.repetition_time_s
        return Volume(
            index=index,
            data=data,
            affine=affine,
            acquired_s=self._timeline.acquired_s(index, repetition_s, partial.slabs),
            repetition_time_s=repetition_s,
            identity=Identity(self.series.digest, self.series.series_number, index + 1),
            stamps=partial.stamps,
        )

    def state(self) -> dict[str, Any]:
        """Return the learnt values for JSON, without the held slabs."""
        series = asdict(self.series)
        if math.isnan(self.series.repetition_time_s):
            series["repetition_time_s"] = None
        timeline = asdict(self._timeline)
        if math.isinf(self._timeline.last_s):
            timeline["last_s"] = None
        return {
            "series": series,
            "slices": self._slices,
            "period": self._period,
            "timeline": timeline,
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Self:
        """Return an assembler with the learnt values of `state`."""
        series = dict(state["series"])
        repetition_s = series.pop("repetition_time_s")
        assembler = cls(
            Series(
                digest=series["digest"],
                series_number=series["series_number"],
                matrix=(series["matrix"][0], series["matrix"][1]),
                echo_time_ms=series["echo_time_ms"],
                repetition_time_s=math.nan if repetition_s is None else repetition_s,
                image_type=tuple(series["image_type"]),
                volumes=series["volumes"],
                kind=series.get("kind", ""),
            )
        )
        assembler._slices = state["slices"]
        assembler._period = state["period"]
        timeline = dict(state["timeline"])
        if timeline["last_s"] is None:
            timeline["last_s"] = -math.inf
        assembler._timeline = _Timeline(**timeline)
        return assembler

    def _insert(self, index: int, slab: Slab, stamps: Stamps) -> SlabStatus:
        self._learn_slices(index, slab, stamps)
        partial = self._partials.setdefault(index, _Partial())
        for other in partial.slabs:
            if _same_place(other, slab):
                self._warn_of_clash(index, other, slab)
                return _compare(other, slab)
        if partial.slabs and self.is_whole(index):
            return SlabStatus.DIFFERENT
        partial.slabs.append(slab)
        partial.stamps = stamps
        return SlabStatus.NEW

    def _learn_slices(self, index: int, slab: Slab, stamps: Stamps) -> None:
        """Take the first volume as whole when an image of the next one arrives."""
        if slab.slices is not None or self._slices is not None:
            return
        earlier = [i for i in self._partials if i < index]
        if earlier:
            first = self._partials[min(earlier)]
            self._slices, first.stamps = first.slices, stamps

    def _learn_period(self, slab: Slab) -> None:
        """Learn the images per volume when a location is scanned for the second time.

        This assumes numbers that run volume by volume. If they run location by location, the
        first location repeats before the second arrives, and the period stays unknown until the
        end of the series.
        """
        earlier = [s for s, _ in self._unplaced[:-1]]
        again = next((s for s in earlier if _same_place(s, slab)), None)
        if self._by_place or again is None:
            return
        period = slab.instance - again.instance
        if period < 2 or all(_same_place(s, slab) for s in earlier):
            self._by_place = True
            return
        self._period = period
        firsts = [s for s in earlier if self.index_of(s) == self.index_of(again)]
        # If the volume's last number is held, all its images should be. Else no more are exported.
        full = max(s.instance for s in firsts) % period == 0
        self._slices = period if full else len(firsts)
        unplaced, self._unplaced = self._unplaced, []
        for held, stamps in unplaced:
            self._insert((held.instance - 1) // period, held, stamps)
        for index, partial in self._partials.items():
            if self.is_whole(index):
                partial.stamps = unplaced[-1][1]

    def _warn_of_clash(self, index: int, held: Slab, slab: Slab) -> None:
        if held.instance != slab.instance and not self._warned_clash:
            self._warned_clash = True
            _log.warning(
                "series %d: images %d and %d both claim one slice of volume %d; the first is kept. "
                "If this continues, the series does not number its volumes",
                self.series.series_number,
                held.instance,
                slab.instance,
                index,
            )


def same_place(one_mm: float, other_mm: float) -> bool:
    """Return whether two positions along the slice normal are the same location."""
    return abs(one_mm - other_mm) < _SAME_PLACE_MM


def _same_place(one: Slab, other: Slab) -> bool:
    return same_place(one.location_mm, other.location_mm)


def _compare(held: Slab, slab: Slab) -> SlabStatus:
    return SlabStatus.REPEATED if np.array_equal(held.data, slab.data) else SlabStatus.DIFFERENT


def _stack(slabs: list[Slab]) -> tuple[Float32, Float64]:
    """Return the data and affine of a volume from its slabs."""
    if len(slabs) == 1:
        return slabs[0].data, slabs[0].affine
    groups: dict[int, int] = defaultdict(int)
    for slab in slabs:
        groups[slab.data.shape[2]] += 1
        if np.abs(slab.affine[:3, :2] - slabs[0].affine[:3, :2]).max() > 1e-3:
            raise VolumeError("has slices of several orientations: they do not make one volume")
    if set(groups) != {1}:
        raise VolumeError(f"arrives in blocks of {sorted(groups)} slices, which cannot be combined")
    ordered = [slabs[i] for i in even_order(np.array([s.location_mm for s in slabs]))]
    affine = ordered[0].affine.copy()
    affine[:3, 2] = (ordered[-1].affine[:3, 3] - affine[:3, 3]) / (len(ordered) - 1)
    data = np.empty((*ordered[0].data.shape[:2], len(ordered)), np.float32)
    for at, slab in enumerate(ordered):
        data[:, :, at] = slab.data[:, :, 0]
    data.setflags(write=False)
    return data, frozen(affine, np.float64)
