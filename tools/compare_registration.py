#!/usr/bin/env python3
"""Compare registration libraries on real series by time and overlap (docs/decisions/0005).

Usage: tools/compare_registration.py FOLDER [FOLDER ...], each with the DICOM of one BOLD series.
Needs `pip install dipy SimpleITK` beside the calibration extra. Every library gets the same masked
mean EPI, the same 2 mm template, the same start (centre on centre) and one thread; what comes out
is judged with the same masks. The last row is what `calibration.registration` does: antspyx after a
search over head pitch, in a process of its own, whose start is in the time.
"""

import argparse
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from calibration.registration import antspyx, brain, template
from calibration.registration.image_geometry import (
    Image,
    dice,
    inside,
    mutual_information,
    sample,
    voxel_centres_mm,
)
from rtdecode.dicom import assemble
from rtdecode.types import Float64

THREADS = 1
LPS = np.array([-1.0, -1.0, 1.0])
Method = Callable[[template.Template, Image, Float64], Float64]


def with_dipy(fixed: template.Template, moving: Image, points_mm: Float64) -> Float64:
    """Affine by mutual information, then SyN by cross-correlation (dipy's tutorial settings)."""
    from dipy.align import imaffine, imwarp, metrics, transforms

    warnings.simplefilter("ignore", UserWarning)  # keyword style, from dipy's next version on
    logging.getLogger("dipy").setLevel(logging.WARNING)
    still, affine = fixed.t1.data.astype(float), fixed.t1.affine
    other, its = moving.data.astype(float), moving.affine
    found = imaffine.transform_centers_of_mass(still, affine, other, its)
    search = imaffine.AffineRegistration(
        metric=imaffine.MutualInformationMetric(32, None),
        level_iters=[1000, 200, 20],
        sigmas=[3.0, 1.0, 0.0],
        factors=[4, 2, 1],
        verbosity=0,
    )
    for model in (
        transforms.TranslationTransform3D(),
        transforms.RigidTransform3D(),
        transforms.AffineTransform3D(),
    ):
        found = search.optimize(
            still, other, model, None, affine, its, starting_affine=found.affine
        )
    syn = imwarp.SymmetricDiffeomorphicRegistration(metrics.CCMetric(3), level_iters=[40, 20, 0])
    warp = syn.optimize(still, other, affine, its, found.affine)
    return np.asarray(warp.transform_points(points_mm, coord2world=np.eye(4)))


def with_simpleitk(fixed: template.Template, moving: Image, points_mm: Float64) -> Float64:
    """Affine, then B-splines every 20 mm, both by mutual information (it offers no SyN)."""
    import SimpleITK as sitk  # noqa: N813  (the name all its documentation uses)

    def to_itk(image: Image) -> Any:
        made = sitk.GetImageFromArray(image.data.T.astype(np.float32))
        lps = LPS[:, None] * image.affine[:3]
        made.SetOrigin(lps[:, 3].tolist())
        made.SetSpacing(image.voxel_mm.tolist())
        made.SetDirection((lps[:, :3] / image.voxel_mm).ravel().tolist())
        return made

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
    still, other = to_itk(fixed.t1), to_itk(moving)
    start = sitk.CenteredTransformInitializer(
        still, other, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    linear = sitk.ImageRegistrationMethod()
    linear.SetMetricAsMattesMutualInformation(32)
    linear.SetMetricSamplingStrategy(linear.REGULAR)
    linear.SetMetricSamplingPercentage(0.2, seed=1)
    linear.SetInterpolator(sitk.sitkLinear)
    linear.SetOptimizerAsGradientDescent(1.0, 300, 1e-6, 10)
    linear.SetOptimizerScalesFromPhysicalShift()
    linear.SetShrinkFactorsPerLevel([4, 2])
    linear.SetSmoothingSigmasPerLevel([2, 1])
    linear.SetInitialTransform(start, inPlace=True)
    linear.Execute(still, other)
    bend = sitk.ImageRegistrationMethod()
    bend.SetMetricAsMattesMutualInformation(32)
    bend.SetMetricSamplingStrategy(bend.REGULAR)
    bend.SetMetricSamplingPercentage(0.1, seed=1)
    bend.SetInterpolator(sitk.sitkLinear)
    bend.SetOptimizerAsLBFGSB(numberOfIterations=20)
    bend.SetShrinkFactorsPerLevel([2])
    bend.SetSmoothingSigmasPerLevel([1])
    bend.SetMovingInitialTransform(start)
    spline = sitk.BSplineTransformInitializer(still, [10, 12, 10])
    bend.SetInitialTransform(spline, inPlace=True)
    bend.Execute(still, other)
    whole = sitk.CompositeTransform([start, spline])
    return np.array([whole.TransformPoint((p * LPS).tolist()) for p in points_mm]) * LPS


def with_antspyx(fixed: template.Template, moving: Image, points_mm: Float64) -> Float64:
    """`antspyx.registration("SyN")` as it comes."""
    import ants

    from calibration.registration import worker

    ants.config.set_ants_deterministic(on=False, seed_value=1)
    done = ants.registration(
        worker.to_ants(fixed.t1.data, fixed.t1.affine),
        worker.to_ants(moving.data, moving.affine),
        "SyN",
    )
    return worker.map_points(done["fwdtransforms"], points_mm)


def with_ours(fixed: template.Template, moving: Image, points_mm: Float64) -> Float64:
    """Search over pitch, then antspyx's SyN, in a process of its own."""
    return antspyx.register_pair(fixed.t1, moving, fixed.generous, points_mm, kind="SyN").final_mm


METHODS: dict[str, Method] = {
    "dipy affine + SyN": with_dipy,
    "SimpleITK affine + B-spline": with_simpleitk,
    "antspyx SyN": with_antspyx,
    "antspyx with pitch search": with_ours,
}


def compare(folder: Path) -> None:
    """Print one row a method for the series in `folder`."""
    volumes = assemble([folder])[:20]
    mean = np.mean([volume.data for volume in volumes], axis=0, dtype=np.float64)
    epi = Image(mean.astype(np.float32), volumes[0].affine)
    mask = brain.epi_brain_mask(epi)
    fixed, bench = template.at_resolution(2.0), template.at_resolution(4.0)
    size = "x".join(map(str, epi.data.shape))
    print(f"\n{folder.name}: {len(volumes)} volumes of {size}, {THREADS} thread")
    print(f"  {'method':<28} {'seconds':>8} {'overlap':>8} {'nats':>6} {'covered':>8}")
    points_mm = voxel_centres_mm(bench.mask.shape, bench.t1.affine)
    for name, method in METHODS.items():
        began = time.perf_counter()
        mapped_mm = method(fixed, epi.masked(mask), points_mm)
        elapsed_s = time.perf_counter() - began
        seen = inside(epi.data.shape, epi.affine, mapped_mm) & bench.mask.ravel()
        found = sample(mask, epi.affine, mapped_mm) >= 0.5
        shared = mutual_information(
            bench.t1.data.ravel()[seen], sample(epi.data, epi.affine, mapped_mm[seen])
        )
        covered = seen.sum() / bench.mask.sum()
        row = f"{elapsed_s:8.1f} {dice(found, seen):8.3f} {shared:6.3f} {covered:8.1%}"
        print(f"  {name:<28} {row}", flush=True)


if __name__ == "__main__":
    for variable in ("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "OMP_NUM_THREADS"):
        os.environ[variable] = str(THREADS)  # read when ITK and OpenMP are loaded, below
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    for one in parser.parse_args().folders:
        compare(one)
