"""Find where each voxel of the decoder's grid lies in the scanner."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibration.registration import antspyx, brain, template
from calibration.registration.image_geometry import (
    Image,
    Shape,
    apply_affine,
    inverse,
    voxel_centres_mm,
)
from calibration.registration.registration_quality import Registration, judge
from rtdecode.errors import ConfigError
from rtdecode.types import Bool, Float32, Float64

Progress = Callable[[str], None]

FULL_MM = 2.0
QUICK_MM = 4.0
"""Resolutions of the template for registration; results are evaluated at the second."""

GREY_LEVELS = 512
"""Grey levels of the registered EPI: much finer than the metric's 32 bins."""


def register(
    mean_epi: Float32,
    affine: Float64,
    *,
    grid_shape: Shape,
    grid_affine: Float64,
    t1: tuple[Float32, Float64] | None = None,
    transform: Path | None = None,
    quick: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Registration:
    """Register a mean EPI to MNI and carry the decoder's grid into the scanner.

    The registration is direct, by mutual information (affine, then SyN), or through a T1 of the
    subject (EPI to T1 rigidly, T1 to MNI by SyN), or by an existing transform. The same input gives
    the same coordinates on every machine: one ITK thread, a fixed seed, and arithmetic that is
    identical on all CPUs. Overlap cannot distinguish left from right. Only the affines do, and the
    operator's inspection of the overlay.

    Parameters
    ----------
    mean_epi
        (X, Y, Z) mean of the motion-corrected calibration run, or any whole volume of it.
    affine
        Affine of the mean EPI: voxels to scanner millimetres, RAS+, (4, 4).
    grid_shape, grid_affine
        The decoder's grid and its voxel to MNI millimetres, RAS+, (4, 4), any orientation.
    t1
        A T1-weighted image of the subject with its affine, with or without the skull.
    transform
        An EPI-to-MNI transform file; see `transforms.read_transform` for formats and direction.
    quick
        Affine only, to the template at 4 mm: seconds, for demonstrations.
    seed
        Seed of ITK's random numbers.
    progress
        Called with a short description of each step.

    Raises
    ------
    ConfigError
        If an argument cannot be used, with every problem.
    RunError
        If no brain is found, the library fails, or the result is below `MIN_OVERLAP` or
        `MIN_INFORMATION`.
    """
    _check(mean_epi, affine, grid_affine, t1, transform)
    epi = Image(mean_epi, affine)
    report = progress or (lambda _: None)
    report("finding the brain in the mean EPI")
    epi_mask = brain.epi_brain_mask(epi)
    # The decoder's grid, and a fixed grid so that the measurement does not depend on the decoder.
    grid_brain = template.brain_mask(grid_shape, grid_affine)
    bench = template.at_resolution(QUICK_MM)
    points_mm = np.vstack(
        [
            voxel_centres_mm(grid_shape, grid_affine),
            voxel_centres_mm(bench.mask.shape, bench.t1.affine),
        ]
    )
    if transform is not None:
        from calibration.registration.transforms import library, read_transform

        report(f"applying {transform.name}")
        epi_mm = read_transform(transform, epi)(points_mm)
        mapped = antspyx.MappedPoints(final_mm=epi_mm, linear_mm=epi_mm)
        method = f"user's transform {transform.name}, read by {library()}"
    else:
        kind = "Affine" if quick else "SyN"
        fixed = template.at_resolution(QUICK_MM if quick else FULL_MM)
        grey = Image(grey_levels(epi.data), affine)
        steps = "mean EPI to MNI"
        if t1 is None:
            report(f"registering the mean EPI to MNI ({kind})")
            mapped = antspyx.register_pair(
                fixed.t1,
                grey.masked(epi_mask),
                fixed.generous,
                points_mm,
                kind=kind,
                seed=seed,
            )
        else:
            mapped = _through_t1(grey, epi_mask, Image(*t1), fixed, points_mm, kind, seed, report)
            steps = "mean EPI to T1 (Rigid), T1 to MNI"
        method = f"{steps} ({kind}), {antspyx.library()}, {template.library()}; {antspyx.repeats()}"
    return judge(
        epi,
        epi_mask,
        grid_brain,
        grid_affine,
        bench,
        mapped,
        method,
        trusted=transform is not None,
    )


def grey_levels(data: Float32) -> Float32:
    """Round an image to at most `GREY_LEVELS` levels, a power of two apart.

    Otherwise one voxel's last bit, which may depend on the CPU that averaged the run, changes the
    result by half a millimetre (docs/decisions/0005-registration-library.md).
    """
    _, exponent = math.frexp(float(data.max()))
    step = np.float32(math.ldexp(1.0, exponent) / GREY_LEVELS)
    rounded: Float32 = np.round(data / step) * step
    return rounded


def _check(
    mean_epi: Float32,
    affine: Float64,
    grid_affine: Float64,
    t1: tuple[Float32, Float64] | None,
    transform: Path | None,
) -> None:
    problems = []
    images = {"mean EPI": (mean_epi, affine)} | ({} if t1 is None else {"T1": t1})
    for name, (data, its_affine) in images.items():
        if np.ndim(data) != 3 or min(np.shape(data)) < 2:
            problems.append(f"{name}: needs three axes of 2 voxels or more, has {np.shape(data)}.")
        elif not np.isfinite(data).all():
            problems.append(f"{name}: holds values that are not finite; replace them by zero.")
        problems += _affine_problems(name, its_affine)
    problems += _affine_problems("decoder's grid", grid_affine)
    if t1 is not None and transform is not None:
        problems.append("a T1 and a transform: give only one of them.")
    if problems:
        raise ConfigError(problems)


def _affine_problems(name: str, affine: Float64) -> list[str]:
    if np.shape(affine) != (4, 4) or not np.isfinite(affine).all():
        return [f"{name}: its affine must be 4x4 and finite."]
    if abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        return [f"{name}: its affine is singular; give voxel to millimetre, RAS+."]
    return []


def _through_t1(
    epi: Image,
    epi_mask: Bool,
    t1: Image,
    fixed: template.Template,
    points_mm: Float64,
    kind: str,
    seed: int,
    report: Progress,
) -> antspyx.MappedPoints:
    """Map MNI points to the T1 by SyN or an affine, and from there to the EPI rigidly."""
    # Four points determine an affine: the origin and one along each axis.
    probe_mm = np.vstack([np.zeros(3), 100.0 * np.eye(3)])

    def matrix(fixed: Image, moving: Image, mask: Bool, kind: str) -> Float64:
        mapped = antspyx.register_pair(fixed, moving, mask, probe_mm, kind=kind, seed=seed)
        mapped_mm = mapped.final_mm
        affine = np.eye(4)
        affine[:3, :3] = (mapped_mm[1:] - mapped_mm[0]).T / 100.0
        affine[:3, 3] = mapped_mm[0]
        return affine

    report("registering the mean EPI to the T1 (Rigid)")
    epi_to_t1 = matrix(epi, t1, epi_mask, "Rigid")
    report("finding the brain in the T1")
    coarse = template.at_resolution(QUICK_MM)
    mni_to_t1 = matrix(coarse.t1, t1, coarse.generous, "Affine")
    t1_brain = t1.masked(brain.t1_brain_mask(t1, mni_to_t1, coarse))
    report(f"registering the T1 to MNI ({kind})")
    in_t1 = antspyx.register_pair(
        fixed.t1, t1_brain, fixed.generous, points_mm, kind=kind, seed=seed
    )
    t1_to_epi = inverse(epi_to_t1)
    return antspyx.MappedPoints(
        final_mm=apply_affine(t1_to_epi, in_t1.final_mm),
        linear_mm=apply_affine(t1_to_epi, in_t1.linear_mm),
    )
