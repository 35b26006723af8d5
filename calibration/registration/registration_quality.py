"""Measure the quality of a registration, and refuse a bad one."""

from dataclasses import dataclass

import numpy as np

from calibration.registration.antspyx import MappedPoints
from calibration.registration.image_geometry import (
    Image,
    dice,
    inside,
    mutual_information,
    sample,
)
from calibration.registration.template import Template
from rtdecode.errors import RunError
from rtdecode.stages.resample import dilate
from rtdecode.types import Bool, Float32, Float64, frozen

MIN_OVERLAP = 0.82
"""Below this Dice the registration is refused (docs/decisions/0005-registration-library.md)."""

MIN_INFORMATION = 0.10
GOOD_INFORMATION = 0.14
"""Mutual information of EPI and template, nats. Below the first limit our registration is refused,
below the second the operator is warned (the same page)."""

MIN_COVERED = 0.90
"""Below this fraction of the brain inside the EPI's field of view the operator is warned."""


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """The position of the decoder's grid in a subject's EPI."""

    coordinates_mm: Float32
    """(voxels in dilate(mask), 3), C order: position of each voxel in the EPI's scanner frame,
    RAS+, mm."""
    mask: Bool
    """(GX, GY, GZ): the brain's voxels that lie in the EPI's field of view."""
    grid_affine: Float64
    """Decoder grid voxel to MNI millimetres, RAS+, (4, 4)."""
    epi_on_grid: Float32
    """(GX, GY, GZ): the mean EPI resampled, with skull, for visual inspection."""
    overlap: float
    """Dice of the EPI's and the template's brain masks on the grid, inside the field of view."""
    covered: float
    """Fraction of the template's brain that lies in the EPI's field of view."""
    information: float
    """Mutual information of EPI and template inside the brain, in nats, after the linear step and
    at 4 mm. It measures the agreement inside the outlines, which overlap does not measure."""
    method: str
    """The method, with the versions of the libraries."""
    warnings: tuple[str, ...] = ()
    """Warnings for the operator."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "coordinates_mm", frozen(self.coordinates_mm, np.float32))
        object.__setattr__(self, "mask", frozen(self.mask, np.bool_))
        object.__setattr__(self, "grid_affine", frozen(self.grid_affine, np.float64))
        object.__setattr__(self, "epi_on_grid", frozen(self.epi_on_grid, np.float32))


def judge(
    epi: Image,
    epi_mask: Bool,
    grid_mask: Bool,
    grid_affine: Float64,
    bench: Template,
    mapped: MappedPoints,
    method: str,
    *,
    trusted: bool,
) -> Registration:
    """Measure overlap and mutual information, and return the registration.

    Parameters
    ----------
    epi, epi_mask
        The mean EPI and its brain mask, (X, Y, Z).
    grid_mask, grid_affine
        The template's brain on the decoder's grid, (GX, GY, GZ), and the grid's affine.
    bench
        The template at the resolution of the measurement.
    mapped
        Positions in the EPI of the grid's voxels, then of the bench's.
    method
        The method, with the versions of the libraries.
    trusted
        Whether the transform is the user's: low mutual information is then only a warning.

    Raises
    ------
    RunError
        The result is below `MIN_OVERLAP` or `MIN_INFORMATION`.
    """

    def overlap_of(template_brain: Bool, points_mm: Float64) -> tuple[Bool, float]:
        """Return the template's brain in the field of view, and its overlap with the EPI's."""
        shape = template_brain.shape
        visible = template_brain & inside(epi.data.shape, epi.affine, points_mm).reshape(shape)
        epi_brain = sample(epi_mask, epi.affine, points_mm).reshape(shape) >= 0.5
        return visible, dice(epi_brain, visible)

    final_mm = mapped.final_mm[: grid_mask.size]
    linear_mm = mapped.linear_mm[grid_mask.size :]
    bench_mask, linear_overlap = overlap_of(bench.mask, linear_mm)
    mask, overlap = overlap_of(grid_mask, final_mm)
    for step, value in (("linear step", linear_overlap), ("whole", overlap)):
        if value < MIN_OVERLAP:
            raise RunError(
                f"registration ({step}): the brains of the EPI and of MNI overlap by {value:.2f} "
                f"(Dice), at least {MIN_OVERLAP:.2f} is needed ({method}). Check that the "
                "reference image is a whole head with the correct orientation in its header; for "
                "a slab give a T1 of this subject; or give a transform from EPI to MNI (and check "
                "its direction)."
            )
    brain_mm = linear_mm[bench_mask.ravel()]
    information = mutual_information(
        bench.t1.data[bench_mask], sample(epi.data, epi.affine, brain_mm)
    )
    if information < MIN_INFORMATION and not trusted:
        raise RunError(
            f"registration: the brains' outlines overlap by {linear_overlap:.2f} (Dice), but their "
            f"mutual information is only {information:.2f} nats, at least "
            f"{MIN_INFORMATION:.2f} is needed ({method}): the orientation is wrong or the image "
            "has no tissue contrast. Check the reference image and its header's orientation, or "
            "give a transform from EPI to MNI."
        )
    covered = float(mask.sum() / max(grid_mask.sum(), 1))
    return Registration(
        coordinates_mm=final_mm[dilate(mask).ravel()].astype(np.float32),
        mask=mask,
        grid_affine=grid_affine,
        epi_on_grid=sample(epi.data, epi.affine, final_mm).reshape(mask.shape),
        overlap=overlap,
        covered=covered,
        information=information,
        method=method,
        warnings=_warnings(covered, information),
    )


def _warnings(covered: float, information: float) -> tuple[str, ...]:
    warnings = []
    if covered < MIN_COVERED:
        warnings.append(
            f"The EPI's field of view holds {covered:.0%} of the brain, under {MIN_COVERED:.0%}: "
            "the decoder has no data of the rest, and without a T1 or a transform its position is "
            "uncertain. Place the slices to cover the whole brain."
        )
    if information < GOOD_INFORMATION:
        warnings.append(
            f"The mutual information of EPI and template is only {information:.2f} nats, under "
            f"{GOOD_INFORMATION:.2f}: the registration may be wrong in spite of the overlap. "
            "Look at the ventricles in the overlay before accepting it."
        )
    return tuple(warnings)
