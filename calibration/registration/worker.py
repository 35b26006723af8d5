"""Run one antspyx registration in a separate process.

`antspyx.register_pair` starts this file, so that ITK's thread count, temporary files, output and
crashes do not affect the calling process. It imports nothing from this project.
"""

import math
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import ants
import numpy as np
import pandas as pd  # type: ignore[import-untyped]  # antspyx needs its tables; no stubs
from numpy.typing import NDArray

RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])


class Pyramid(NamedTuple):
    """Resolution levels of a linear step, from coarse to fine."""

    shrink_factors: tuple[int, ...]
    smoothing_voxels: tuple[int, ...]
    iterations: tuple[int, ...]


SEARCH = Pyramid((4, 2), (2, 1), (500, 500))
REFINE = Pyramid((2, 1), (1, 0), (200, 20))

COARSE_MM = 4.0
PITCHES_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
"""Grid of the search, and its initial rotations about the left-right axis."""


def to_ants(data: NDArray[Any], affine: NDArray[Any]) -> Any:
    """Return `data` with its RAS+ `affine` as an ANTs image, whose physical space is LPS+."""
    lps = RAS_TO_LPS[:, None] * affine[:3]
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    return ants.from_numpy(
        np.asarray(data, dtype=np.float32),
        origin=lps[:, 3].tolist(),
        spacing=spacing.tolist(),
        direction=lps[:, :3] / spacing,
    )


def map_points(transforms: list[str], points_mm: NDArray[Any]) -> NDArray[Any]:
    """Map RAS+ points of the fixed image to the moving image.

    ANTs' forward transforms resample the moving image on the fixed one. For points they therefore
    map from the fixed image to the moving one, which is the direction that sampling needs.
    """
    table = pd.DataFrame(points_mm * RAS_TO_LPS, columns=["x", "y", "z"])
    mapped = ants.apply_transforms_to_points(
        3, table, transforms, whichtoinvert=[False] * len(transforms)
    )
    return mapped[["x", "y", "z"]].to_numpy(dtype=np.float64) * RAS_TO_LPS


def information(fixed: Any, moving: Any, mask: Any, transforms: list[str]) -> float:
    """Return the mutual information of the images inside `mask`, nats; 16 equal-count bins."""
    inside = mask.numpy() > 0
    warped = ants.apply_transforms(fixed, moving, transforms).numpy()[inside]
    one, two = (
        np.searchsorted(np.quantile(values, np.linspace(0, 1, 17)[1:-1]), values)
        for values in (fixed.numpy()[inside], warped)
    )
    joint = np.bincount(one * 16 + two, minlength=256).reshape(16, 16) / inside.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    nonzero = joint > 0
    # Nine digits: the last bits depend on the CPU and must not decide between two starts.
    return round(float(np.sum(joint[nonzero] * np.log(joint[nonzero] / independent[nonzero]))), 9)


def starts(fixed: Any, moving: Any) -> list[str]:
    """Return files of initial transforms: the headers', and centre on centre at several pitches.

    Heads in scanners have a pitch of up to 30 degrees. From a wrong pitch, an affine can end in a
    local optimum in which the outlines of the brains agree but their contents do not.
    """
    centre = np.array(ants.get_center_of_mass(fixed))
    shift = np.array(ants.get_center_of_mass(moving)) - centre
    files = ["Identity"]
    for pitch_deg in PITCHES_DEG:
        # Twelve digits: the last bits depend on the CPU.
        cosine = round(math.cos(math.radians(pitch_deg)), 12)
        sine = round(math.sin(math.radians(pitch_deg)), 12)
        turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        start = ants.create_ants_transform(
            transform_type="AffineTransform", matrix=turn, center=centre, translation=shift
        )
        files.append(f"{tempfile.mkdtemp()}/start.mat")
        ants.write_transform(start, files[-1])
    return files


def register(fixed: Any, moving: Any, mask: Any, kind: str) -> tuple[list[str], list[str]]:
    """Search at 4 mm from every start, and refine the result with most mutual information.

    Return the whole transforms and their linear part.
    """
    linear = "Rigid" if kind == "Rigid" else "Affine"
    coarse = ants.resample_image(fixed, [COARSE_MM] * 3, use_voxels=False, interp_type=0)
    coarse_mask = ants.resample_image(mask, [COARSE_MM] * 3, use_voxels=False, interp_type=1)
    results = []
    for start in starts(coarse, moving):
        transforms = run(coarse, moving, linear, start, coarse_mask, SEARCH)
        results.append((information(coarse, moving, coarse_mask, transforms), transforms))
    (best,) = max(results, key=lambda result: result[0])[1]  # the first of equals
    (linear_result,) = run(coarse, moving, linear, best, coarse_mask, REFINE)
    if kind != "SyN":
        return [linear_result], [linear_result]
    # No mask: the voxels outside it help the deformation to fit the rim.
    return run(fixed, moving, "SyNOnly", linear_result, None, REFINE), [linear_result]


def run(fixed: Any, moving: Any, kind: str, start: str, mask: Any, pyramid: Pyramid) -> list[str]:
    """Register from one start; return the files of transforms, last applied first."""
    result = ants.registration(
        fixed,
        moving,
        kind,
        initial_transform=start,
        mask=mask,
        mask_all_stages=mask is not None,
        # All voxels: with a fifth, the default, the result depends on the seed by millimetres.
        aff_random_sampling_rate=1.0,
        aff_shrink_factors=pyramid.shrink_factors,
        aff_smoothing_sigmas=pyramid.smoothing_voxels,
        aff_iterations=pyramid.iterations,
        outprefix=f"{tempfile.mkdtemp()}/",
    )
    files: list[str] = result["fwdtransforms"]
    return files


def main(folder: Path) -> None:
    """Read `request.npz` in `folder`, register, write `answer.npz` there."""
    with np.load(folder / "request.npz", allow_pickle=False) as request:
        fixed = to_ants(request["fixed"], request["fixed_affine"])
        mask = to_ants(request["fixed_mask"], request["fixed_affine"])
        moving = to_ants(request["moving"], request["moving_affine"])
        # antspyx reads its seed only from here; with `on=True` it would also refuse SyN.
        # For ITK a seed of zero means the clock, therefore plus one.
        ants.config.set_ants_deterministic(on=False, seed_value=int(request["seed"]) + 1)
        final, linear = register(fixed, moving, mask, str(request["kind"]))
        np.savez(
            folder / "answer.npz",
            final_mm=map_points(final, request["points_mm"]),
            linear_mm=map_points(linear, request["points_mm"]),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
