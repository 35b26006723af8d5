"""What a run looks like that the bundle can decode."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rtdecode.dicom import Series, Slab
from rtdecode.types import Float64

_SAME = 0.01
"""Relative: headers round repetition times and pixel sizes."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The calibration run's geometry and pace."""

    shape: tuple[int, int, int]
    """Columns, rows and slices."""
    voxel_mm: tuple[float, float, float]
    repetition_time_s: float

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
        return cls((x, y, z), (across, along, through), facts["repetition_time_s"])

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
        size_mm = voxel_mm(slab.affine)[: 3 if whole else 2]
        return self.differences((*series.matrix, slices), size_mm, series.repetition_time_s)

    def differences(
        self, shape: tuple[int, ...], size_mm: tuple[float, ...], repetition_time_s: float
    ) -> list[str]:
        """Say, with both values, in what a volume differs.

        Parameters
        ----------
        shape
            Of the volume.
        size_mm
            Of its voxels; of the first axes only, where the others are unknown.
        repetition_time_s
            `nan` where it is unknown.
        """
        found = []
        if tuple(shape) != self.shape:
            found.append(f"matrix {_times(shape)}, the bundle's {_times(self.shape)}")
        expected_mm = self.voxel_mm[: len(size_mm)]
        if not np.allclose(size_mm, expected_mm, rtol=_SAME, atol=0):
            found.append(f"voxels of {_times(size_mm)} mm, the bundle's {_times(expected_mm)} mm")
        stated_s, expected_s = repetition_time_s, self.repetition_time_s
        if math.isfinite(stated_s) and not math.isclose(stated_s, expected_s, rel_tol=_SAME):
            found.append(f"repetition time {stated_s:g} s, the bundle's {expected_s:g} s")
        return found


def voxel_mm(affine: Float64) -> tuple[float, ...]:
    """Return a volume's voxel size, millimetres, from its affine (4, 4)."""
    return tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))


def _times(numbers: tuple[float, ...]) -> str:
    return "x".join(f"{round(number, 3):g}" for number in numbers)
