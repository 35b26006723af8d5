"""What a run looks like that the bundle can decode."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rtdecode.dicom import Series, Slab
from rtdecode.ledger.placement import apart_deg, centre, orientation, share_covered
from rtdecode.types import Float64

_SAME = 0.01
"""Relative: headers round repetition times and pixel sizes."""
MOST_APART_DEG = 30.0
"""Between the axes of a run and the calibration run's. Slices are prescribed anew for each run, by
a few degrees otherwise; another plane, or rows for columns, is 45 degrees away or more."""
LEAST_COVERED = 0.5
"""Of the calibration run's field of view: with less the head cannot be in both."""

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """The calibration run's geometry and pace."""

    shape: tuple[int, int, int]
    """Columns, rows and slices."""
    voxel_mm: tuple[float, float, float]
    repetition_time_s: float
    affine: Rows | None = None
    """Voxel to scanner millimetres, RAS+, four rows of four; `None` where it is not known, as in
    sessions of earlier versions: orientation and position are not judged then."""

    def facts(self) -> dict[str, Any]:
        """Return it for the log."""
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, Any] | None) -> "Expected | None":
        """Read what `facts` gave, and `None` where nothing is known."""
        if facts is None:
            return None
        x, y, z = facts["shape"]
        across, along, through = facts["voxel_mm"]
        rows = facts.get("affine")
        affine = None if rows is None else tuple(tuple(map(float, row)) for row in rows)
        return cls((x, y, z), (across, along, through), facts["repetition_time_s"], affine)

    def mismatches(self, series: Series, slab: Slab) -> list[str]:
        """Say, with both values, in what an object differs; what it does not tell is not judged.

        Parameters
        ----------
        series, slab
            Of the object. A slice alone does not tell how far apart slices are, and not always how
            many they are: that is judged when its volume is whole.
        """
        whole = slab.data.shape[2] > 1
        slices = slab.slices or (slab.data.shape[2] if whole else self.shape[2])
        shape = (*series.matrix, slices)
        return self.differences(shape, slab.affine, series.repetition_time_s, whole=whole)

    def differences(
        self,
        shape: tuple[int, ...],
        affine: Float64,
        repetition_time_s: float,
        *,
        whole: bool = True,
    ) -> list[str]:
        """Say, with both values, in what a volume differs.

        Parameters
        ----------
        shape
            Of the volume.
        affine
            Voxel to scanner millimetres, RAS+, (4, 4).
        repetition_time_s
            `nan` where it is unknown.
        whole
            Whether the affine is the volume's; that of a slice tells its own two axes only.
        """
        axes = 3 if whole else 2
        size_mm = voxel_mm(affine)[:axes]
        found = []
        if tuple(shape) != self.shape:
            found.append(f"matrix {_times(shape)}, the bundle's {_times(self.shape)}")
        expected_mm = self.voxel_mm[: len(size_mm)]
        if not np.allclose(size_mm, expected_mm, rtol=_SAME, atol=0):
            found.append(f"voxels of {_times(size_mm)} mm, the bundle's {_times(expected_mm)} mm")
        stated_s, expected_s = repetition_time_s, self.repetition_time_s
        if math.isfinite(stated_s) and not math.isclose(stated_s, expected_s, rel_tol=_SAME):
            found.append(f"repetition time {stated_s:g} s, the bundle's {expected_s:g} s")
        return found + self._misplaced(tuple(shape), affine, axes, fits=not found)

    def _misplaced(
        self, shape: tuple[int, ...], affine: Float64, axes: int, *, fits: bool
    ) -> list[str]:
        """Say, with both values, whether a volume is turned or lies elsewhere."""
        if self.affine is None:
            return []
        own = np.array(self.affine)
        turned_deg = apart_deg(affine, own, axes)
        if turned_deg > MOST_APART_DEG:
            return [
                f"slices {orientation(affine)}, the bundle's {orientation(own)} (their axes are "
                f"{turned_deg:.0f}° apart; at most {MOST_APART_DEG:.0f}°)"
            ]
        # Of another matrix, or of a slice alone, the place says nothing.
        covered = share_covered(shape, affine, self.shape, own) if fits and axes == 3 else 1.0
        if covered < LEAST_COVERED:
            return [
                f"field of view about {centre(shape, affine)}, the bundle's about "
                f"{centre(self.shape, own)} ({covered:.0%} of it is covered; at least "
                f"{LEAST_COVERED:.0%})"
            ]
        return []


def voxel_mm(affine: Float64) -> tuple[float, ...]:
    """Return a volume's voxel size, millimetres, from its affine (4, 4)."""
    return tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))


def _times(numbers: tuple[float, ...]) -> str:
    return "x".join(f"{round(number, 3):g}" for number in numbers)
