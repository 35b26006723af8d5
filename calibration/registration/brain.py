"""Brain masks of an EPI and of a T1."""

import warnings

import numpy as np

from calibration.registration.image_geometry import (
    Image,
    apply_affine,
    inverse,
    sample,
    voxel_centres_mm,
)
from calibration.registration.template import Template
from rtdecode.errors import RunError
from rtdecode.types import Bool, Float64

MIN_BRAIN_ML = 100.0
"""Minimum volume of a brain mask; less indicates a phantom, noise or another part of the body."""

RIM_VOXELS = 4


def epi_brain_mask(epi: Image) -> Bool:
    """Return the brain of a mean EPI by its intensity histogram (nilearn's `compute_epi_mask`).

    Raises
    ------
    RunError
        The mask is too small for a brain.
    """
    import nibabel as nib
    from nilearn import masking  # slow to import

    # Repeat the outermost voxels, so that the mask is not eroded at the faces of a slab.
    padded = np.pad(epi.data, RIM_VOXELS, mode="edge")
    with warnings.catch_warnings():
        # An empty or nearly empty mask is an error below.
        warnings.simplefilter("ignore")
        image = masking.compute_epi_mask(nib.Nifti1Image(padded, epi.affine))
    inner = (slice(RIM_VOXELS, -RIM_VOXELS),) * 3
    mask: Bool = np.asarray(image.dataobj)[inner] > 0
    volume_ml = float(mask.sum() * abs(np.linalg.det(epi.affine[:3, :3])) / 1000)
    if volume_ml < MIN_BRAIN_ML:
        raise RunError(
            f"mean EPI: only {volume_ml:.0f} ml are brighter than the background; a brain has at "
            f"least {MIN_BRAIN_ML:.0f} ml. Check that the calibration run is the functional "
            "series of a head (not a localiser, phantom or field map)."
        )
    return mask


def t1_brain_mask(t1: Image, mni_to_t1: Float64, template: Template) -> Bool:
    """Return a generous brain mask of a T1: the template's mask, mapped to it.

    Parameters
    ----------
    t1
        The T1, with or without its skull.
    mni_to_t1
        A rough affine from MNI millimetres to the T1's, (4, 4).
    template
        The template with the generous mask.
    """
    shape = (t1.data.shape[0], t1.data.shape[1], t1.data.shape[2])
    points_mm = apply_affine(inverse(mni_to_t1), voxel_centres_mm(shape, t1.affine))
    mask: Bool = sample(template.generous, template.t1.affine, points_mm).reshape(shape) >= 0.5
    return mask
