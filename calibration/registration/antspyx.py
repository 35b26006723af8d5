"""antspyx, the registration library, held at arm's length.

It runs in a process of its own (`worker.py`): ITK reads its thread count once, prints to the
process's own standard output and leaves its transforms in the temporary folder, and none of the
three can be undone from inside.
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
"""With one thread the sums inside the metric have one order, so the answer is the same each time;
two threads would save a third of the time."""

TEMPORARY = ("TMPDIR", "TEMP", "TMP")


@dataclass(frozen=True, slots=True, eq=False)
class MappedPoints:
    """Points of the fixed image carried to the moving one, (n, 3) RAS+ millimetres."""

    final_mm: Float64
    """By the whole transform."""
    linear_mm: Float64
    """By the linear search that it began with: SyN bends anything to fit, an affine cannot."""


def library() -> str:
    """Return the library and its version, for a record of method."""
    return f"antspyx {version('antspyx')}"


def repeats() -> str:
    """Return how far the library repeats its answer, for a record of method."""
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
    """Register `moving` to `fixed` by mutual information and carry points along.

    Parameters
    ----------
    fixed, moving
        The images and their RAS+ affines.
    fixed_mask
        Where in the fixed image linear steps take the metric: the brain and its rim.
    points_mm
        (n, 3) RAS+ millimetres in the fixed image's space.
    kind
        antspyx's name of the transform: `Rigid`, `Affine` or `SyN` (affine, then diffeomorphic;
        Avants et al. 2008).
    seed
        Of ITK's random numbers.

    Returns
    -------
    MappedPoints
        Where each point lies in the moving image.

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
        # -P keeps this folder off the worker's path, where our modules could hide others.
        done = subprocess.run(  # noqa: S603  (our own interpreter, our own file, our own folder)
            [sys.executable, "-P", str(WORKER), name],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        answer = folder / "answer.npz"
        if done.returncode != 0 or not answer.is_file():
            last_line = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise RunError(
                f"registration ({library()}, {kind}) failed with exit status {done.returncode}; it "
                f"said: {last_line}. Check that the images are brain images with contrast, or "
                "give a transform."
            )
        with np.load(answer, allow_pickle=False) as result:
            return MappedPoints(final_mm=result["final_mm"], linear_mm=result["linear_mm"])
