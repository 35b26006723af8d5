"""Registration by antspyx in a separate process.

The process runs `worker.py`. ITK reads its thread count once, prints to the standard output of the
process and leaves its transforms in the temporary folder. A caller in the same process could not
undo this.
"""

import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from calibration.registration.image_geometry import Image
from rtdecode.errors import RunError
from rtdecode.types import Bool, Float64

WORKER = Path(__file__).with_name("worker.py")

ITK_THREADS = 1
"""With one thread the sums of the metric have a fixed order, so that the result is always the same.
Two threads would save a third of the time."""

TEMPORARY = ("TMPDIR", "TEMP", "TMP")


@dataclass(frozen=True, slots=True, eq=False)
class MappedPoints:
    """Points of the fixed image mapped to the moving image, (n, 3) RAS+ millimetres."""

    final_mm: Float64
    """The points mapped by the whole transform."""
    linear_mm: Float64
    """The points mapped by the linear step. SyN can fit any image; an affine cannot."""


def library() -> str:
    """Return the library and its version, for the description of the method."""
    return f"antspyx {version('antspyx')}"


def repeats() -> str:
    """Return the library's reproducibility, for the description of the method."""
    here = f"{platform.system()} {platform.machine()}"
    return f"repeats to the bit with these versions on {here}, to about 1 mm on other systems"


def register_pair(
    fixed: Image,
    moving: Image,
    fixed_mask: Bool,
    points_mm: Float64,
    *,
    kind: str,
    seed: int = 0,
) -> MappedPoints:
    """Register `moving` to `fixed` by mutual information, and map points.

    Parameters
    ----------
    fixed, moving
        The images and their RAS+ affines.
    fixed_mask
        The part of the fixed image for the metric of linear steps: the brain and its rim.
    points_mm
        (n, 3) RAS+ millimetres in the fixed image's space.
    kind
        antspyx's name of the transform: `Rigid`, `Affine` or `SyN` (affine, then diffeomorphic;
        Avants et al. 2008).
    seed
        Seed of ITK's random numbers.

    Returns
    -------
    MappedPoints
        The position of each point in the moving image.

    Raises
    ------
    RunError
        If the library fails, with the last line of its output.
    """
    with tempfile.TemporaryDirectory(prefix="rtdecode-registration-") as name:
        folder = Path(name)
        np.savez(
            folder / "request.npz",
            allow_pickle=False,
            fixed=fixed.data,
            fixed_affine=fixed.affine,
            fixed_mask=fixed_mask.astype(np.uint8),
            moving=moving.data,
            moving_affine=moving.affine,
            points_mm=points_mm,
            kind=np.array(kind),
            seed=np.array(seed),
        )
        environment = os.environ | dict.fromkeys(TEMPORARY, name)
        environment["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(ITK_THREADS)
        # -P removes this folder from the worker's path, where our modules could hide others.
        process = subprocess.run(  # noqa: S603  (interpreter, file and folder are ours)
            [sys.executable, "-P", str(WORKER), name],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        answer = folder / "answer.npz"
        if process.returncode != 0 or not answer.is_file():
            output = process.stderr.strip() or process.stdout.strip() or "no output"
            raise RunError(
                f"registration ({library()}, {kind}) failed with exit status "
                f"{process.returncode}: {output.splitlines()[-1]}. Check that the images are "
                "brain images with contrast, or give a transform."
            )
        with np.load(answer, allow_pickle=False) as result:
            return MappedPoints(final_mm=result["final_mm"], linear_mm=result["linear_mm"])
