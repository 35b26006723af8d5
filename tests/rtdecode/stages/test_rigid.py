"""Motion parameters and matrices."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rtdecode.stages.rigid import centre_mm, matrix_motion, motion_matrix
from rtdecode.types import Motion

millimetres = st.floats(-50, 50)
radians = st.floats(-1.5, 1.5)


@given(st.tuples(*[millimetres] * 3, *[radians] * 3), st.tuples(*[millimetres] * 3))
def test_a_motion_is_recovered_from_its_matrix(
    parameters: tuple[float, ...], centre: tuple[float, ...]
) -> None:
    """The six parameters are recovered from their matrix, and the matrix is rigid."""
    middle = np.array(centre)
    matrix = motion_matrix(Motion(*parameters), middle)
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(matrix_motion(matrix, middle).as_array(), parameters, atol=1e-9)


def test_the_centre_only_translates() -> None:
    """Rotations turn about the given centre, which itself moves by the translation alone."""
    centre = np.array([10.0, -20.0, 30.0])
    matrix = motion_matrix(Motion(1, 2, 3, 0.1, 0.2, 0.3), centre)
    np.testing.assert_allclose(matrix @ [*centre, 1], [11, -18, 33, 1])


def test_rotations_are_applied_in_the_order_x_y_z() -> None:
    """A quarter turn about x, then y, then z takes y to z, z to x and x to y: back to y."""
    quarter = np.pi / 2
    matrix = motion_matrix(Motion(0, 0, 0, quarter, quarter, quarter), np.zeros(3))
    np.testing.assert_allclose(matrix @ [0, 1, 0, 1], [0, 1, 0, 1], atol=1e-12)
    nod = motion_matrix(Motion(rot_x=quarter), np.zeros(3))
    np.testing.assert_allclose(nod @ [0, 1, 0, 1], [0, 0, 1, 1], atol=1e-12)


def test_the_centre_of_a_field_of_view_lies_between_its_corners() -> None:
    """The centre is the mean of the first and the last voxel's centres."""
    affine = np.array([[-3, 0, 0.5, 90], [0, 2, 0, -70], [0.2, 0, 4, -50], [0, 0, 0, 1]])
    first, last = affine @ [0, 0, 0, 1], affine @ [9, 19, 4, 1]
    np.testing.assert_allclose(centre_mm((10, 20, 5), affine), ((first + last) / 2)[:3])
