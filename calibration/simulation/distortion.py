"""Distortion of an EPI: susceptibility shifts tissue along the phase encoding.

Air in the sphenoid sinus and the ear canals distorts the field, and the slow read-out along y turns
this into a shift of millimetres (Jezzard & Balaban 1995), which compresses or stretches the signal.
Registration does not correct it, so that maps are slightly wrong there, as in real data.
"""

from dataclasses import dataclass

import numpy as np

from calibration.simulation.seeds import lognormal
from rtdecode.types import Float64

SITES = (
    ((0.0, 34.0, -24.0), (26.0, 22.0, 18.0), 1.0),
    ((-52.0, -26.0, -30.0), (18.0, 20.0, 16.0), 0.6),
    ((52.0, -26.0, -30.0), (18.0, 20.0, 16.0), 0.6),
)
"""Centre and radii in MNI millimetres, and strength relative to the strongest."""
_STEP_MM = 0.5


@dataclass(frozen=True)
class DistortionSettings:
    """Size of the shift; 2 to 6 mm are usual at 3 T without a field map."""

    peak_mm: float = 4.0
    """Mean over people of the maximum shift, which is to anterior."""
    peak_spread: float = 0.25
    """Standard deviation over people of the logarithm of the maximum shift."""


def draw_peak_mm(settings: DistortionSettings, rng: np.random.Generator) -> float:
    """Draw one participant's maximum shift."""
    return settings.peak_mm * float(lognormal(rng, settings.peak_spread))


def shift_mm(mni_mm: Float64, peak_mm: float) -> Float64:
    """Return the shift (n,) from points of the image (3, n) to their tissue, to anterior."""
    shift = np.zeros(mni_mm.shape[1])
    for centre, radii, strength in SITES:
        away = (mni_mm - np.array(centre)[:, None]) / np.array(radii)[:, None]
        shift += strength * peak_mm * np.exp(-np.sum(away**2, axis=0))
    return shift


def displaced_tissue(
    points_mm: Float64, forward: Float64, to_mni: Float64, peak_mm: float
) -> tuple[Float64, Float64]:
    """Return the true position of the tissue that an image shows, and its relative brightness.

    Parameters
    ----------
    points_mm
        Positions in the image, (3, n).
    forward
        Unit vector of the phase encoding, (3,).
    to_mni
        Affine from these points to MNI millimetres, (4, 4); the shift is so smooth that an affine
        is sufficient.
    peak_mm
        The participant's maximum shift.

    Returns
    -------
    tissue_mm : ndarray
        True positions, (3, n).
    brightness : ndarray
        Ratio of a length of tissue to the length of the image that shows it, (n,).
    """
    along = forward[:, None]

    def shift_at(by_mm: float) -> Float64:
        return shift_mm(to_mni[:3, :3] @ (points_mm + by_mm * along) + to_mni[:3, 3:], peak_mm)

    slope = (shift_at(_STEP_MM) - shift_at(-_STEP_MM)) / (2 * _STEP_MM)
    return points_mm + shift_at(0.0) * along, 1.0 + slope
