"""The MNI template in the nilearn package (ICBM152 2009a, symmetric); it needs no download."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from calibration.registration.image_geometry import Image, Shape
from calibration.registration.resample_image import resample
from rtdecode.types import Bool, Float64, frozen

RIM_MM = 4.0
"""Width of the rim, enough for the brain's edge and for a rough alignment."""

NILEARN_BRAIN = 0.2
"""Threshold on the T1 in nilearn's `load_mni152_brain_mask`."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The template on one grid."""

    t1: Image
    """The T1-weighted image, brain only."""
    mask: Bool
    """The brain mask."""

    @property
    def generous(self) -> Bool:
        """The brain and `RIM_MM` around it."""
        away_mm = ndimage.distance_transform_edt(~self.mask, sampling=self.t1.voxel_mm)
        near: Bool = away_mm <= RIM_MM
        return near

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", frozen(self.mask, np.bool_))


def library() -> str:
    """Return the template's origin, for the description of the method."""
    from importlib.metadata import version

    return f"ICBM152 2009a symmetric template of nilearn {version('nilearn')}"


def on_grid(shape: Shape, affine: Float64) -> Template:
    """Return the template resampled to a grid in MNI space.

    Parameters
    ----------
    shape
        Shape of the grid.
    affine
        Affine from voxels to MNI millimetres, RAS+, (4, 4).
    """
    mask = brain_mask(shape, affine)
    t1 = Image(resample(_t1(), shape, affine), affine)
    return Template(t1.masked(mask), mask)


def brain_mask(shape: Shape, affine: Float64) -> Bool:
    """Return the template's brain on a grid in MNI space, as `on_grid` does."""
    mask: Bool = resample(_brain(), shape, affine) >= 0.5
    return mask


def white_matter(shape: Shape, affine: Float64) -> Bool:
    """Return the voxels of the brain that are most probably white matter."""
    white: Bool = resample(_white_matter(), shape, affine) >= 0.5
    return white & brain_mask(shape, affine)


@lru_cache(maxsize=4)
def at_resolution(voxel_mm: float) -> Template:
    """Return the template on the smallest isotropic RAS+ grid that contains it."""
    t1 = _t1()
    extent_mm = np.array(t1.data.shape) * t1.voxel_mm
    size = np.ceil(extent_mm / voxel_mm).astype(int)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = t1.affine[:3, 3]
    return on_grid((int(size[0]), int(size[1]), int(size[2])), affine)


@lru_cache(maxsize=1)
def _t1() -> Image:
    """Return the T1 at 1 mm, scaled to at most 1."""
    from nilearn import datasets

    image = datasets.load_mni152_template(resolution=1)
    return Image(np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine))


@lru_cache(maxsize=1)
def _brain() -> Image:
    """Return the brain at 1 mm, 0 or 1: the largest component of nilearn's mask, filled."""
    t1 = _t1()
    labels, _ = ndimage.label(t1.data > NILEARN_BRAIN)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    brain = ndimage.binary_fill_holes(labels == largest)
    return Image(brain.astype(np.float32), t1.affine)


@lru_cache(maxsize=1)
def _white_matter() -> Image:
    """Return the probability of white matter at 1 mm."""
    from nilearn import datasets

    image = datasets.load_mni152_wm_template(resolution=1)
    return Image(np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine))
