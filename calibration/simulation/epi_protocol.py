"""Grids, rigid transforms, and the slices that the operator plans."""

from dataclasses import dataclass

import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.types import Float32, Float64


@dataclass(frozen=True)
class Grid:
    """An isotropic sampling grid along the axes of the head."""

    shape: tuple[int, int, int]
    origin_mm: tuple[float, float, float]
    """The centre of the first voxel."""
    spacing_mm: float

    def voxels(self, points_mm: Float64) -> Float64:
        """Return the fractional voxel coordinates of `points_mm` (3, n)."""
        return (points_mm - np.array(self.origin_mm)[:, None]) / self.spacing_mm

    def points_mm(self) -> Float64:
        """Return the millimetre coordinates of every voxel, (3, n), C order."""
        indices = np.indices(self.shape).reshape(3, -1)
        return indices * self.spacing_mm + np.array(self.origin_mm)[:, None]


ANATOMY_GRID = Grid((98, 118, 94), (-97.0, -131.0, -85.0), 2.0)
"""The grid of a participant's anatomy, in head millimetres."""
DYNAMICS_GRID = Grid((49, 59, 47), (-96.0, -130.0, -84.0), 4.0)
"""The grid of activation and physiological noise, twice as coarse, in head millimetres."""


@dataclass(frozen=True)
class EpiProtocol:
    """Acquisition protocol: one gradient-echo EPI series of transverse slices."""

    matrix: tuple[int, int, int] = (64, 64, 36)
    voxel_mm: tuple[float, float, float] = (3.5, 3.5, 3.6)
    repetition_time_s: float = 1.0
    echo_time_s: float = 0.030
    flip_angle_deg: float = 62.0

    def __post_init__(self) -> None:
        problems = []
        if len(self.matrix) != 3 or min(self.matrix) < 2:
            problems.append(f"EpiProtocol.matrix must be three sizes of at least 2: {self.matrix}")
        if len(self.voxel_mm) != 3 or min(self.voxel_mm) <= 0:
            problems.append(f"EpiProtocol.voxel_mm must be three positive sizes: {self.voxel_mm}")
        if self.repetition_time_s <= 0:
            problems.append(
                f"EpiProtocol.repetition_time_s must be positive: {self.repetition_time_s}"
            )
        if problems:
            raise ConfigError(problems)


def rotation(x: float, y: float, z: float) -> Float64:
    """Return the (3, 3) matrix that rotates about x, then y, then z; angles in radians."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def rigid(parameters: Float64, centre_mm: Float64) -> Float64:
    """Return the (4, 4) rigid transform in the convention of `rtdecode.types.Motion`.

    Parameters
    ----------
    parameters
        trans_x, trans_y, trans_z in mm; rot_x, rot_y, rot_z in radians.
    centre_mm
        Centre of rotation, (3,).
    """
    transform = np.eye(4)
    transform[:3, :3] = rotation(*parameters[3:])
    transform[:3, 3] = parameters[:3] + centre_mm - transform[:3, :3] @ centre_mm
    return transform


def place_slab(protocol: EpiProtocol, pose: Float64, top_mm: float) -> Float64:
    """Return the affine of an EPI whose slices an operator planned with usual precision.

    The operator rotates the slab with the head in whole degrees, centres it on the head, and places
    its upper edge just above the brain.

    Parameters
    ----------
    protocol
        The matrix and voxel size.
    pose
        Head millimetres to scanner millimetres, (4, 4).
    top_mm
        Height of the top of the brain in head millimetres.

    Returns
    -------
    (4, 4), voxel to scanner RAS+ millimetres, stored as dcm2niix stores transverse slices: the
    first axis runs from right to left, the second to anterior, the third to superior.
    """
    angles = (
        np.arctan2(pose[2, 1], pose[2, 2]),
        -np.arcsin(pose[2, 0]),
        np.arctan2(pose[1, 0], pose[0, 0]),
    )
    slab_angles = np.deg2rad(np.round(np.rad2deg(angles)))
    axes = rotation(*slab_angles) @ np.diag([-1.0, 1.0, 1.0])
    height = protocol.matrix[2] * protocol.voxel_mm[2]
    centre = pose @ np.array([0.0, -18.0, top_mm + 5.0 - height / 2, 1.0])
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(protocol.voxel_mm)
    middle = (np.array(protocol.matrix) - 1) / 2
    # The scanner's console plans in tenths of a millimetre.
    affine[:3, 3] = np.round(centre[:3], 1) - affine[:3, :3] @ middle
    return affine


def epi_points_mm(protocol: EpiProtocol, affine: Float64) -> Float64:
    """Return the scanner millimetres of every EPI voxel, (3, n), C order."""
    indices = np.indices(protocol.matrix).reshape(3, -1).astype(np.float64)
    return affine[:3, :3] @ indices + affine[:3, 3:]


def inverse(transform: Float64) -> Float64:
    """Return the inverse of a (4, 4) transform."""
    return np.asarray(np.linalg.inv(transform), dtype=np.float64)


def apply_transform(transform: Float64, points_mm: Float64 | Float32) -> Float64:
    """Apply a (4, 4) transform to points (3, n)."""
    return transform[:3, :3] @ points_mm + transform[:3, 3:]
