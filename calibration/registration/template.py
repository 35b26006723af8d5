"""The MNI template that nilearn ships (ICBM152 2009a, symmetric): no download."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from nilearn import datasets
from scipy import ndimage

from calibration.registration.geometry import Image, Shape, sample, voxel_centres_mm
from rtdecode.types import Bool, Float64, frozen

RIM_MM = 4.0
"""Enough to see the brain's edge, or to hold the brain of a rough alignment."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The template on some grid."""

    t1: Image
    """T1-weighted, brain only."""
    mask: Bool
    """The brain."""
    white_matter: Bool
    """Where white matter is the likeliest tissue, for the outlines of a picture."""

    @property
    def generous(self) -> Bool:
        """The brain and `RIM_MM` around it."""
        away_mm = ndimage.distance_transform_edt(~self.mask, sampling=self.t1.voxel_mm)
        near: Bool = away_mm <= RIM_MM
        return near

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", frozen(self.mask, np.bool_))
        object.__setattr__(self, "white_matter", frozen(self.white_matter, np.bool_))


def library() -> str:
    """Return the template's origin, for a record of method."""
    from importlib.metadata import version

    return f"ICBM152 2009a symmetric template of nilearn {version('nilearn')}"


def on_grid(shape: Shape, affine: Float64) -> Template:
    """Return the template resampled to a grid in MNI space.

    Parameters
    ----------
    shape
        Of the grid.
    affine
        Voxel to MNI millimetres, RAS+, (4, 4).
    """
    t1, brain, white = _native()
    voxel_mm = np.linalg.norm(affine[:3, :3], axis=0)
    points = voxel_centres_mm(shape, affine)

    def resampled(image: Image) -> Image:
        # A coarse voxel stands for all it covers: blur to its width before sampling it.
        sigma = np.sqrt(np.maximum(voxel_mm.mean() ** 2 - image.voxel_mm**2, 0)) / 2.355
        blurred = ndimage.gaussian_filter(image.data, sigma / image.voxel_mm)
        return Image(sample(blurred, image.affine, points).reshape(shape), affine)

    mask = resampled(brain).data >= 0.5
    return Template(
        t1=resampled(t1).masked(mask),
        mask=mask,
        white_matter=(resampled(white).data >= 0.5) & mask,
    )


@lru_cache(maxsize=4)
def at_resolution(voxel_mm: float) -> Template:
    """Return the template on an isotropic RAS+ grid that just holds it."""
    t1, _, _ = _native()
    extent_mm = np.array(t1.data.shape) * t1.voxel_mm
    size = np.ceil(extent_mm / voxel_mm).astype(int)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = t1.affine[:3, 3]
    return on_grid((int(size[0]), int(size[1]), int(size[2])), affine)


@lru_cache(maxsize=1)
def _native() -> tuple[Image, Image, Image]:
    """Return T1, brain mask and white matter at 1 mm, read once: each takes a second to unpack."""
    t1 = datasets.load_mni152_template(resolution=1)
    affine = np.asarray(t1.affine, dtype=np.float64)
    raw = np.asarray(datasets.load_mni152_brain_mask(resolution=1).dataobj) > 0
    labels, _ = ndimage.label(raw)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    brain = ndimage.binary_fill_holes(labels == largest)
    white = datasets.load_mni152_wm_template(resolution=1)
    return (
        Image(np.asarray(t1.dataobj, dtype=np.float32), affine),
        Image(brain.astype(np.float32), affine),
        Image(np.asarray(white.dataobj, dtype=np.float32), np.asarray(white.affine)),
    )
