"""The protocol that a bundle can decode, and how a series or a volume differs from it."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rtdecode.dicom import Series, Slab
from rtdecode.types import Float64

RELATIVE_TOLERANCE = 0.01
"""Headers round repetition times and pixel sizes."""
MAX_ANGLE_DEG = 30.0
"""Largest accepted angle between the axes of a run and those of the calibration run. Slices are
planned anew for each run, within a few degrees. Another plane, or swapped rows and columns, differs
by 45 degrees or more."""
MIN_COVERAGE = 0.5
"""Smallest accepted share of the calibration run's field of view. With less, the head cannot be in
both."""
PLANES = ("sagittal", "coronal", "transverse")
LETTERS = ("LR", "PA", "FH")
"""Negative and positive along x, y and z: left and right, posterior and anterior, feet and head."""
MIN_TILT_DEG = 0.5
"""A smaller tilt is not reported."""
SAMPLES = 8
"""Sample points along each axis of a field of view."""

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class ScanProtocol:
    """Geometry and repetition time of the calibration run."""

    shape: tuple[int, int, int]
    """Columns, rows and slices."""
    voxel_mm: tuple[float, float, float]
    repetition_time_s: float
    affine: Rows | None = None
    """Voxel to scanner millimetres, RAS+, four rows of four. `None` in sessions of earlier
    versions: orientation and position are not compared then."""

    def facts(self) -> dict[str, Any]:
        """Return the protocol for the log."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any] | None) -> "ScanProtocol | None":
        """Read the result of `facts`; `None` gives `None`."""
        if facts is None:
            return None
        x, y, z = facts["shape"]
        x_mm, y_mm, z_mm = facts["voxel_mm"]
        rows = facts.get("affine")
        affine = None if rows is None else tuple(tuple(map(float, row)) for row in rows)
        return cls((x, y, z), (x_mm, y_mm, z_mm), facts["repetition_time_s"], affine)

    @classmethod
    def from_reference(
        cls, shape: tuple[int, int, int], affine: Float64, repetition_time_s: float
    ) -> "ScanProtocol":
        """Return the protocol of a reference image: (X, Y, Z), RAS+ affine (4, 4), seconds."""
        return cls(
            shape, voxel_mm(affine), repetition_time_s, tuple(tuple(row) for row in affine.tolist())
        )

    def series_differences(self, series: Series, slab: Slab) -> list[str]:
        """Describe, with both values, how an object differs.

        Parameters
        ----------
        series, slab
            The object's series and its first slab. A single slice does not give the slice distance,
            and not always the number of slices: both are compared when the volume is whole.
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
        """Describe, with both values, how a volume differs.

        Parameters
        ----------
        shape
            The volume's shape, (X, Y, Z).
        affine
            Voxel to scanner millimetres, RAS+, (4, 4).
        repetition_time_s
            `nan` where it is unknown.
        whole
            Whether the affine describes a volume; a slice gives its own two axes only.
        """
        axes = 3 if whole else 2
        size_mm, expected_mm = voxel_mm(affine)[:axes], self.voxel_mm[:axes]
        problems = []
        if tuple(shape) != self.shape:
            problems.append(f"matrix {_times(shape)}, the bundle's {_times(self.shape)}")
        if not np.allclose(size_mm, expected_mm, rtol=RELATIVE_TOLERANCE, atol=0):
            problems.append(
                f"voxels of {_times(size_mm)} mm, the bundle's {_times(expected_mm)} mm"
            )
        stated_s, expected_s = repetition_time_s, self.repetition_time_s
        if math.isfinite(stated_s) and not math.isclose(
            stated_s, expected_s, rel_tol=RELATIVE_TOLERANCE
        ):
            problems.append(f"repetition time {stated_s:g} s, the bundle's {expected_s:g} s")
        return problems + self._position_differences(tuple(shape), affine, axes, fits=not problems)

    def _position_differences(
        self, shape: tuple[int, ...], affine: Float64, axes: int, *, fits: bool
    ) -> list[str]:
        """Describe, with both values, a different orientation or position."""
        if self.affine is None:
            return []
        reference = np.array(self.affine)
        angle_deg = largest_angle_deg(affine, reference, axes)
        if angle_deg > MAX_ANGLE_DEG:
            return [
                f"slices {orientation(affine)}, the bundle's {orientation(reference)} (their axes "
                f"are {angle_deg:.0f}° apart; at most {MAX_ANGLE_DEG:.0f}°)"
            ]
        # The position of another matrix, or of a single slice, cannot be compared.
        if not fits or axes < 3:
            return []
        coverage = share_covered(shape, affine, self.shape, reference)
        if coverage < MIN_COVERAGE:
            return [
                f"field of view about {centre(shape, affine)}, the bundle's about "
                f"{centre(self.shape, reference)} ({coverage:.0%} of it is covered; at least "
                f"{MIN_COVERAGE:.0%})"
            ]
        return []


def voxel_mm(affine: Float64) -> tuple[float, float, float]:
    """Return a volume's voxel size, millimetres, from its affine (4, 4)."""
    x_mm, y_mm, z_mm = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return x_mm, y_mm, z_mm


def _times(numbers: tuple[float, ...]) -> str:
    return "x".join(f"{round(number, 3):g}" for number in numbers)


def orientation(affine: Float64) -> str:
    """Return the orientation of slices in words: `transverse, tilted 12° towards coronal`."""
    normal = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    order = np.argsort(-np.abs(normal), kind="stable")
    plane = PLANES[order[0]]
    tilt_deg = float(np.degrees(np.arccos(min(1.0, abs(normal[order[0]])))))
    if tilt_deg < MIN_TILT_DEG:
        return plane
    return f"{plane}, tilted {tilt_deg:.0f}° towards {PLANES[order[1]]}"


def position(point_mm: Float64) -> str:
    """Return a point as consoles show it: `L2 A14 H8 mm`."""
    parts = [
        f"{letters[mm > 0]}{abs(mm):.0f}"
        for letters, mm in zip(LETTERS, point_mm.tolist(), strict=True)
    ]
    return f"{' '.join(parts)} mm"


def centre(shape: tuple[int, ...], affine: Float64) -> str:
    """Return the centre of a field of view as consoles show it."""
    # The stages import numba, which is slow; the checks before a start do without it.
    from rtdecode.stages.rigid import centre_mm

    return position(centre_mm(shape, affine))


def largest_angle_deg(affine: Float64, reference: Float64, axes: int = 3) -> float:
    """Return the largest angle between a volume's axis and the same axis of another.

    Opposite directions count as the same axis: senders store voxels in either direction, and the
    affine says which.

    Parameters
    ----------
    affine, reference
        Voxel to scanner millimetres, RAS+, (4, 4).
    axes
        Number of axes to compare, from the first.
    """
    one, other = (a[:3, :axes] / np.linalg.norm(a[:3, :axes], axis=0) for a in (affine, reference))
    cosines = np.abs((one * other).sum(axis=0))
    return float(np.degrees(np.arccos(np.minimum(cosines, 1.0))).max())


def share_covered(
    shape: tuple[int, ...],
    affine: Float64,
    reference_shape: tuple[int, ...],
    reference: Float64,
) -> float:
    """Return the share of a reference's field of view that a volume covers, 0 to 1.

    Parameters
    ----------
    shape, affine
        The volume's shape, (X, Y, Z), and its voxel to scanner millimetres, RAS+, (4, 4).
    reference_shape, reference
        The same for the reference.
    """
    steps = [(np.arange(SAMPLES) + 0.5) * n / SAMPLES - 0.5 for n in reference_shape]
    voxels = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    to_volume = np.linalg.inv(affine) @ reference
    points = voxels @ to_volume[:3, :3].T + to_volume[:3, 3]
    inside = ((points >= -0.5) & (points <= np.array(shape) - 0.5)).all(axis=1)
    return float(inside.mean())
