"""Convert DICOM's patient coordinates (LPS) to a NIfTI affine (RAS+) as dcm2niix does.

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

_MAX_SPACING_MM, _MAX_POSITION_MM = 1e3, 1e5
"""No scanner has larger spacing or positions. These limits keep results finite."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Directions of the rows and columns of a slice, in LPS millimetres."""

    row: Float64
    """Step from one column to the next."""
    column: Float64
    """Step from one row to the next."""
    normal: Float64
    """Unit normal: row direction x column direction."""

    def location_mm(self, position: Float64) -> float:
        """Return a slice's position along the normal."""
        return float(position @ self.normal)

    def affine(self, position: Float64, step: Float64, rows: int) -> Float64:
        """Return the (4, 4) RAS+ affine of slices whose rows have been reversed.

        Parameters
        ----------
        position
            Centre of the first stored pixel of the first slice, LPS millimetres.
        step
            Step from one slice to the next, LPS millimetres.
        rows
            Number of rows of a slice.
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
        The directions are not two orthogonal unit vectors, or the spacing is not positive.
    """
    if max(map(abs, orientation)) > 2:  # before a value can overflow
        raise VolumeError("has an ImageOrientationPatient that is not two directions")
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.abs(lengths - 1).max() > 0.01 or abs(row @ column) > 0.01:
        raise VolumeError("has an ImageOrientationPatient that is not two directions")
    if min(spacing) < 1 / _MAX_SPACING_MM or max(spacing) > _MAX_SPACING_MM:
        raise VolumeError(f"has a pixel spacing of {spacing[0]:g} x {spacing[1]:g} mm")
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    return Plane(row * spacing[1], column * spacing[0], normal / np.linalg.norm(normal))


def position_mm(header: Header) -> Float64:
    """Return ImagePositionPatient (3,), LPS millimetres.

    Raises
    ------
    VolumeError
        The position is absent, or farther from the isocentre than in any scanner.
    """
    position = header.vector(tags.POSITION, 3)
    if max(map(abs, position)) > _MAX_POSITION_MM:
        raise VolumeError(
            f"lies {max(map(abs, position)):g} mm from the isocentre; at most "
            f"{_MAX_POSITION_MM:g} mm is possible"
        )
    return np.array(position)


def slice_spacing_mm(*headers: Header) -> float | None:
    """Return the distance between slice centres from the first header that gives it, or `None`.

    Raises
    ------
    VolumeError
        The slices are farther apart than in any scanner.
    """
    for tag in (tags.SLICE_SPACING, tags.SLICE_THICKNESS):
        for header in headers:
            spacing = header.number(tag)
            if spacing is not None and spacing != 0:
                if abs(spacing) > _MAX_SPACING_MM:
                    raise VolumeError(f"has slices {spacing:g} mm apart")
                return abs(spacing)
    return None


def even_order(locations_mm: Float64) -> NDArray[np.intp]:
    """Return the indices that order slices along the normal.

    Raises
    ------
    VolumeError
        Two slices have one location, or a slice is missing between others.
    """
    order = np.argsort(locations_mm, kind="stable")
    steps = np.diff(locations_mm[order])
    if steps.size and (steps.min() < 1e-3 or steps.max() - steps.min() > 0.2 * steps.min()):
        raise VolumeError(
            f"has {len(order)} slices {steps.min():.3f} to {steps.max():.3f} mm apart: "
            "they do not make one volume"
        )
    return order
