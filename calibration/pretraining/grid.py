"""The small network's grid, every second voxel of the published grid, and its preparation."""

import numpy as np

from calibration.registration.template import on_grid
from rtdecode.types import Bool, Float64

GRID_SHAPE = (46, 55, 46)
GRID_ORIGIN_MM = (90.0, -126.0, -72.0)
GRID_MM = 4.0
"""Spacing of the grid. Its first axis runs from right to left, as in the published network."""
SMOOTHING_FWHM_MM = 6.0
HAEMODYNAMIC_LAG_S = 5.0


def grid_affine() -> Float64:
    """Return the affine of the network's grid, voxel to MNI millimetres, (4, 4)."""
    affine = np.diag([-GRID_MM, GRID_MM, GRID_MM, 1.0])
    affine[:3, 3] = GRID_ORIGIN_MM
    return affine


def brain_mask() -> Bool:
    """Return the brain mask on the network's grid."""
    return on_grid(GRID_SHAPE, grid_affine()).mask
