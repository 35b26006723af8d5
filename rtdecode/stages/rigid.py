"""Rigid head motion as a matrix; rotations are about the reference's centre."""

import numpy as np

from rtdecode.types import Float64, Motion


def centre_mm(shape: tuple[int, ...], affine: Float64) -> Float64:
    """Return the centre of a field of view in scanner millimetres.

    Parameters
    ----------
    shape
        Matrix (X, Y, Z).
    affine
        Voxel to scanner millimetres, RAS+, (4, 4).

    Returns
    -------
    ndarray
        (3,) millimetres.
    """
    middle = (np.asarray(shape[:3], dtype=np.float64) - 1) / 2
    return affine[:3, :3] @ middle + affine[:3, 3]


def rotation(rot_x: float, rot_y: float, rot_z: float) -> Float64:
    """Return the (3, 3) rotation by rot_x, then rot_y, then rot_z (radians, right-handed)."""
    cx, cy, cz = np.cos([rot_x, rot_y, rot_z])
    sx, sy, sz = np.sin([rot_x, rot_y, rot_z])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def motion_matrix(motion: Motion, centre: Float64) -> Float64:
    """Return the matrix of `motion` from reference to volume millimetres.

    Parameters
    ----------
    motion
        Translations in mm, rotations in rad.
    centre
        `centre_mm` of the reference, (3,) mm.

    Returns
    -------
    ndarray
        (4, 4); a point x of the reference moves to R (x - centre) + centre + translation.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(motion.rot_x, motion.rot_y, motion.rot_z)
    translation = np.array([motion.trans_x, motion.trans_y, motion.trans_z])
    matrix[:3, 3] = centre + translation - matrix[:3, :3] @ centre
    return matrix


def matrix_motion(matrix: Float64, centre: Float64) -> Motion:
    """Return the motion whose `motion_matrix` about `centre` is the rigid (4, 4) `matrix`."""
    rotation_matrix = matrix[:3, :3]
    translation = rotation_matrix @ centre + matrix[:3, 3] - centre
    return Motion(
        trans_x=float(translation[0]),
        trans_y=float(translation[1]),
        trans_z=float(translation[2]),
        rot_x=float(np.arctan2(rotation_matrix[2, 1], rotation_matrix[2, 2])),
        rot_y=float(np.arcsin(np.clip(-rotation_matrix[2, 0], -1.0, 1.0))),
        rot_z=float(np.arctan2(rotation_matrix[1, 0], rotation_matrix[0, 0])),
    )
