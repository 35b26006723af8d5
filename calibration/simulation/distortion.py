"""Where an EPI shows tissue in the wrong place: susceptibility shifts along the phase encoding.

Air in the sphenoid sinus and the ear canals bends the field, and a slow read-out along y turns that
into a shift of millimetres (Jezzard & Balaban 1995). The signal is squeezed or stretched with it.
The maps that follow from the images are still a little wrong there, as real ones are.
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
"""Centre and radii in MNI millimetres, and how strong against the strongest."""
_STEP_MM = 0.5


@dataclass(frozen=True)
class DistortionSettings:
    """Size of the shift: 2 to 6 mm are usual at 3 T without a field map."""

    peak_mm: float = 4.0
    """Mean of the largest shift, towards the front."""
    peak_spread: float = 0.25
    """Standard deviation of its logarithm between people."""


def draw_peak_mm(settings: DistortionSettings, rng: np.random.Generator) -> float:
    """Draw one participant's largest shift."""
    return settings.peak_mm * float(lognormal(rng, settings.peak_spread))


def shift_mm(mni_mm: Float64, peak_mm: float) -> Float64:
    """Return how far in front of a point (3, n) the tissue lies that is shown there, (n,)."""
    shift = np.zeros(mni_mm.shape[1])
    for centre, radii, strength in SITES:
        away = (mni_mm - np.array(centre)[:, None]) / np.array(radii)[:, None]
        shift += strength * peak_mm * np.exp(-np.sum(away**2, axis=0))
    return shift


def distorted(
    points_mm: Float64, forward: Float64, to_mni: Float64, peak_mm: float
) -> tuple[Float64, Float64]:
    """Return where the tissue lies that an image shows, and how much brighter it is there.

    Parameters
    ----------
    points_mm
        Where the image shows it, (3, n).
    forward
        Unit vector of the phase encoding, (3,).
    to_mni
        (4, 4), affine from these points to MNI millimetres; the shift is so smooth that no more is
        needed.
    peak_mm
        The participant's largest shift.

    Returns
    -------
    tissue_mm : ndarray
        (3, n)
    brightness : ndarray
        (n,): signal of a stretch of tissue over that of the stretch of image showing it.
    """
    along = forward[:, None]

    def shift_at(by_mm: float) -> Float64:
        return shift_mm(to_mni[:3, :3] @ (points_mm + by_mm * along) + to_mni[:3, 3:], peak_mm)

    slope = (shift_at(_STEP_MM) - shift_at(-_STEP_MM)) / (2 * _STEP_MM)
    return points_mm + shift_at(0.0) * along, 1.0 + slope
