"""Where a volume lies, in an operator's words, and how that compares with where another does."""

import numpy as np

from rtdecode.types import Float64

PLANES = ("sagittal", "coronal", "transverse")
LETTERS = ("LR", "PA", "FH")
"""Negative and positive along x, y and z: left and right, posterior and anterior, feet and head."""
LEVEL_DEG = 0.5
"""Tilted by less is not worth a word."""
SAMPLES = 8
"""Points along each axis at which a field of view is looked at."""


def orientation(affine: Float64) -> str:
    """Return the orientation of slices in words: `transverse, tilted 12° towards coronal`."""
    normal = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    order = np.argsort(-np.abs(normal), kind="stable")
    plane = PLANES[order[0]]
    tilt_deg = float(np.degrees(np.arccos(min(1.0, abs(normal[order[0]])))))
    if tilt_deg < LEVEL_DEG:
        return plane
    return f"{plane}, tilted {tilt_deg:.0f}° towards {PLANES[order[1]]}"


def place(point_mm: Float64) -> str:
    """Return a point as consoles show it: `L2 A14 H8 mm`."""
    parts = [
        f"{letters[mm > 0]}{abs(mm):.0f}"
        for letters, mm in zip(LETTERS, point_mm.tolist(), strict=True)
    ]
    return f"{' '.join(parts)} mm"


def centre(shape: tuple[int, ...], affine: Float64) -> str:
    """Return the centre of a field of view as consoles show it."""
    # The stages import numba, which nobody waits for who only asks whether a service can start.
    from rtdecode.stages.rigid import centre_mm

    return place(centre_mm(shape, affine))


def apart_deg(affine: Float64, reference: Float64, axes: int = 3) -> float:
    """Return the largest angle between a volume's axis and the same axis of another.

    An axis that runs the other way is no other axis: senders store voxels this way or that, and the
    affine says how.

    Parameters
    ----------
    affine, reference
        Voxel to scanner millimetres, RAS+, (4, 4).
    axes
        How many are compared, the first ones.
    """
    one, other = (a[:3, :axes] / np.linalg.norm(a[:3, :axes], axis=0) for a in (affine, reference))
    cosines = np.abs((one * other).sum(axis=0))
    return float(np.degrees(np.arccos(np.minimum(cosines, 1.0))).max())


def share_covered(
    shape: tuple[int, ...],
    affine: Float64,
    reference_shape: tuple[int, ...],
    reference: Float64,
) -> float:
    """Return how much of a reference's field of view lies in that of a volume, 0 to 1.

    Parameters
    ----------
    shape, affine
        Of the volume: (X, Y, Z), and voxel to scanner millimetres, RAS+, (4, 4).
    reference_shape, reference
        The same of the reference.
    """
    steps = [(np.arange(SAMPLES) + 0.5) * n / SAMPLES - 0.5 for n in reference_shape]
    voxels = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    to_volume = np.linalg.inv(affine) @ reference
    found = voxels @ to_volume[:3, :3].T + to_volume[:3, 3]
    inside = ((found >= -0.5) & (found <= np.array(shape) - 0.5)).all(axis=1)
    return float(inside.mean())
