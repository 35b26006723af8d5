import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.simulation.epi_protocol import (
    ANATOMY_GRID,
    DYNAMICS_GRID,
    EpiProtocol,
    epi_points_mm,
    inverse,
    place_slab,
    rigid,
    rotation,
)
from rtdecode.errors import ConfigError
from rtdecode.stages.rigid import motion_matrix
from rtdecode.types import Motion

_parameter = st.floats(-0.5, 0.5)


@given(st.lists(_parameter, min_size=6, max_size=6))
@settings(max_examples=30, deadline=None)
def test_motion_has_the_meaning_that_realignment_gives_it(parameters):
    """The simulator moves heads in the very convention in which rtdecode reports motion."""
    centre = np.array([3.0, -20.0, 11.0])
    motion = Motion(*parameters)
    np.testing.assert_allclose(
        rigid(motion.as_array(), centre), motion_matrix(motion, centre), atol=1e-12
    )


@given(st.lists(st.floats(-15, 15), min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_slab_is_orthogonal_and_follows_the_head(degrees):
    """The operator's slices are orthogonal, right way round, and within 1 degree of the head."""
    pose = np.eye(4)
    pose[:3, :3] = rotation(*np.deg2rad(degrees))
    protocol = EpiProtocol()
    affine = place_slab(protocol, pose, top_mm=72.0)
    axes = affine[:3, :3] / protocol.voxel_mm
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) < 0  # first axis to the left, stored as dcm2niix stores it
    assert np.all(np.diag(axes) * [-1, 1, 1] > 0.8)
    away = np.arccos(np.clip(np.sum(axes * [-1, 1, 1] * pose[:3, :3], axis=0), -1, 1))
    assert np.all(np.rad2deg(away) < 1.5)


def test_grids_share_their_edges():
    """Two by two by two voxels of the anatomy make exactly one of the dynamics."""
    fine, coarse = np.array(ANATOMY_GRID.origin_mm), np.array(DYNAMICS_GRID.origin_mm)
    np.testing.assert_allclose(fine + ANATOMY_GRID.spacing_mm / 2, coarse)
    assert tuple(2 * size for size in DYNAMICS_GRID.shape) == ANATOMY_GRID.shape


def test_points_and_voxels_agree():
    """Voxel coordinates of a grid's points are its indices; EPI points follow the affine."""
    points = DYNAMICS_GRID.points_mm()
    np.testing.assert_allclose(
        DYNAMICS_GRID.voxels(points), np.indices(DYNAMICS_GRID.shape).reshape(3, -1), atol=1e-9
    )
    protocol = EpiProtocol(matrix=(3, 4, 5))
    affine = np.diag([-3.5, 3.5, 3.6, 1.0])
    last = epi_points_mm(protocol, affine)[:, -1]
    np.testing.assert_allclose(last, [-7.0, 10.5, 14.4])
    np.testing.assert_allclose(inverse(affine) @ [*last, 1.0], [2, 3, 4, 1])


def test_protocol_names_every_problem():
    """A protocol that no scanner could run is refused with all its problems at once."""
    with pytest.raises(ConfigError) as refused:
        EpiProtocol(matrix=(64, 64, 1), voxel_mm=(3.0, 0.0, 3.0), repetition_time_s=0.0)
    assert len(refused.value.problems) == 3
