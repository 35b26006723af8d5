"""A fake participant: the MNI template moved by a known affine and imaged as an EPI."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from calibration.registration import template
from calibration.registration.image_geometry import (
    Image,
    apply_affine,
    inverse,
    sample,
    voxel_centres_mm,
)

GRID_SHAPE = (46, 55, 46)
GRID_AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4.0, 0, -126], [0, 0, 4.0, -72], [0, 0, 0, 1.0]])


@dataclass(frozen=True)
class Participant:
    """An EPI whose place in MNI is known."""

    epi: Image
    mni_to_scanner: np.ndarray
    grid_shape: tuple[int, int, int]
    grid_affine: np.ndarray

    def truth_mm(self, mask: np.ndarray) -> np.ndarray:
        """Return where the voxels of `mask` lie in the scanner."""
        centres = voxel_centres_mm(self.grid_shape, self.grid_affine)[mask.ravel()]
        return apply_affine(self.mni_to_scanner, centres)


def rotation(about_x: float, about_y: float, about_z: float) -> np.ndarray:
    """Return Rz @ Ry @ Rx for angles in degrees."""
    cx, cy, cz = np.cos(np.radians([about_x, about_y, about_z]))
    sx, sy, sz = np.sin(np.radians([about_x, about_y, about_z]))
    turn_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turn_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return turn_z @ turn_y @ turn_x


def imaged(mni_to_scanner: np.ndarray, slices: tuple[int, int] = (0, 36)) -> Image:
    """Return a T2*-like image of the moved template on an oblique scanner grid, with noise."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(9, 2, -3) @ np.diag([-4.0, 4.0, 4.5])
    affine[:3, 3] = [102.0, -115.0, -85.0]
    first, last = slices
    affine[:3, 3] += affine[:3, 2] * first
    shape = (52, 60, last - first)
    mni = template.at_resolution(2.0)
    brain = ndimage.gaussian_filter(mni.mask.astype(np.float32), 1.0)
    # Fluid bright, grey matter less, white matter least: a T1 upside down.
    contrast = ndimage.gaussian_filter(brain * (1.35 - mni.t1.data), 0.8)
    points = apply_affine(inverse(mni_to_scanner), voxel_centres_mm(shape, affine))
    signal = sample(contrast, mni.t1.affine, points).reshape(shape)
    noise = np.random.default_rng(7).normal(0, 0.02, shape)
    return Image(np.abs(signal + noise).astype(np.float32) * 800, affine)


@pytest.fixture(scope="session")
def participant() -> Participant:
    """Return a head that is shifted, pitched, rolled and scaled: nothing symmetric about it."""
    moved = np.eye(4)
    moved[:3, :3] = rotation(17, -5, 7) @ np.diag([0.96, 1.04, 0.98])
    moved[:3, 3] = [9.0, -14.0, 11.0]
    return Participant(imaged(moved), moved, GRID_SHAPE, GRID_AFFINE)


@pytest.fixture(scope="session")
def slab() -> Participant:
    """Return the middle third of an unmoved head."""
    return Participant(imaged(np.eye(4), slices=(14, 26)), np.eye(4), GRID_SHAPE, GRID_AFFINE)
