"""From DICOM's patient coordinates (LPS) to a NIfTI affine (RAS+), stored as dcm2niix stores it.

dcm2niix keeps columns as the first axis, reverses the rows for the second, and orders slices along
the cross product of row and column direction; a Siemens mosaic keeps its own slice order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtdecode.dicom import tags
from rtdecode.dicom.header import Header
from rtdecode.errors import VolumeError
from rtdecode.types import Float64

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where the rows and columns of a slice run, in LPS millimetres."""

    row: Float64
    """Step from one column to the next."""
    column: Float64
    """Step from one row to the next."""
    normal: Float64
    """Unit normal, row direction x column direction."""

    def location_mm(self, position: Float64) -> float:
        """Return how far along the normal a slice lies."""
        return float(position @ self.normal)

    def affine(self, position: Float64, step: Float64, rows: int) -> Float64:
        """Return the (4, 4) RAS+ affine of slices whose rows have been reversed.

        Parameters
        ----------
        position
            Centre of the first stored pixel of the first slice, LPS millimetres.
        step
            From one slice to the next, LPS millimetres.
        rows
            Rows of a slice.
        """
        affine = np.eye(4)
        affine[:3, 0] = _LPS_TO_RAS @ self.row
        affine[:3, 1] = _LPS_TO_RAS @ -self.column
        affine[:3, 2] = _LPS_TO_RAS @ step
        affine[:3, 3] = _LPS_TO_RAS @ (position + (rows - 1) * self.column)
        return affine


def plane(orientation: tuple[float, ...], spacing: tuple[float, ...]) -> Plane:
    """Return the plane of ImageOrientationPatient (6) and PixelSpacing (rows, columns).

    Raises
    ------
    VolumeError
        Directions that are not two unit vectors at a right angle, or spacing that is not positive.
    """
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > 0.01 or abs(row @ column) > 0.01:
        raise VolumeError("has an ImageOrientationPatient that is not two directions")
    if min(spacing) <= 0:
        raise VolumeError(f"has a pixel spacing of {spacing[0]} x {spacing[1]} mm")
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    return Plane(row * spacing[1], column * spacing[0], normal / np.linalg.norm(normal))


def slice_spacing_mm(*headers: Header) -> float | None:
    """Return the distance of slice centres from the first header that gives one, else `None`."""
    for tag in (tags.SLICE_SPACING, tags.SLICE_THICKNESS):
        for header in headers:
            spacing = header.number(tag)
            if spacing is not None and spacing != 0:
                return abs(spacing)
    return None


def even_order(locations_mm: Float64) -> NDArray[np.intp]:
    """Return the order of slices along the normal.

    Raises
    ------
    VolumeError
        Two slices at one place, or a slice missing between others.
    """
    order = np.argsort(locations_mm, kind="stable")
    steps = np.diff(locations_mm[order])
    if steps.size and (steps.min() < 1e-3 or steps.max() - steps.min() > 0.2 * steps.min()):
        raise VolumeError(
            f"has {len(order)} slices {steps.min():.3f} to {steps.max():.3f} mm apart: "
            "they do not make one volume"
        )
    return order
