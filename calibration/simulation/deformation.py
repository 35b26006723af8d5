"""The difference in shape between one participant's head and the MNI152 head."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from calibration.simulation.epi_protocol import Grid, apply_transform, inverse, rotation
from calibration.simulation.seeds import lognormal
from rtdecode.types import Float32, Float64

_GRID = Grid((30, 34, 28), (-116.0, -150.0, -104.0), 8.0)
"""The grid of the displacement, in head millimetres; the displacement is much smoother."""


@dataclass(frozen=True)
class AnatomySettings:
    """Variation of anatomy between heads."""

    size: float = 0.94
    """Mean length of a brain relative to the MNI152 brain, which is large."""
    size_spread: float = 0.03
    """Standard deviation of the logarithm of the size. Each axis has its own in addition, with
    half this standard deviation."""
    shear_deg: float = 1.5
    """Standard deviation of the rotation between the head's axes and MNI's, degrees."""
    displacement_mm: float = 2.5
    """Standard deviation of the smooth, non-linear displacement along each axis."""
    displacement_fwhm_mm: float = 45.0
    """Smoothness of this displacement."""


@dataclass(frozen=True, eq=False)
class Deformation:
    """The map from head millimetres to MNI millimetres: affine, then a smooth displacement."""

    affine: Float64
    """The affine part, (4, 4)."""
    displacement_mm: Float32
    """The displacement on a fixed 8 mm grid of the head, (3, X, Y, Z)."""

    def to_mni(self, points_mm: Float64) -> Float64:
        """Return the MNI millimetres (3, n) of head millimetres (3, n)."""
        voxels = _GRID.voxels(points_mm).astype(np.float32)
        displacement = [
            ndimage.map_coordinates(each, voxels, order=1, mode="nearest")
            for each in self.displacement_mm
        ]
        return apply_transform(self.affine, points_mm) + np.array(displacement)

    def from_mni(self, points_mm: Float64) -> Float64:
        """Return head millimetres (3, n) of MNI millimetres (3, n), by fixed-point iteration."""
        to_head = inverse(self.affine)
        head = apply_transform(to_head, points_mm)
        for _ in range(30):
            head = head + to_head[:3, :3] @ (points_mm - self.to_mni(head))
        return head


def draw_deformation(settings: AnatomySettings, rng: np.random.Generator) -> Deformation:
    """Draw the shape of one participant's head."""
    scale = lognormal(rng, settings.size_spread) * lognormal(rng, settings.size_spread / 2, 3)
    affine = np.eye(4)
    affine[:3, :3] = rotation(*np.deg2rad(settings.shear_deg * rng.standard_normal(3)))
    affine[:3, :3] @= np.diag(1.0 / (settings.size * scale))
    displacement = np.empty((3, *_GRID.shape), dtype=np.float32)
    sigma = settings.displacement_fwhm_mm / 2.355 / _GRID.spacing_mm
    for axis in range(3):
        smooth = ndimage.gaussian_filter(rng.standard_normal(_GRID.shape), sigma, mode="reflect")
        displacement[axis] = settings.displacement_mm * smooth / smooth.std()
    return Deformation(affine, displacement)
