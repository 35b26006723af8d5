"""Read the user's transform from EPI to MNI, in ITK or FSL format, with nitransforms."""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nitransforms.io.base import TransformFileError, TransformIOError
from nitransforms.linear import Affine
from nitransforms.manip import TransformChain
from nitransforms.nonlinear import DenseFieldTransform
from scipy import ndimage
from scipy.io.matlab import MatReadError

from calibration.registration.image_geometry import Image, apply_affine, inverse, voxel_centres_mm
from rtdecode.errors import ConfigError
from rtdecode.types import Float64

Mapping = Callable[[Float64], Float64]

FSL_MNI_SHAPE = (91, 109, 91)
FSL_MNI_AFFINE = np.array(
    [[-2.0, 0, 0, 90], [0, 2.0, 0, -126], [0, 0, 2.0, -72], [0, 0, 0, 1.0]], dtype=np.float64
)
"""Affine of FSL's MNI152 at 2 mm; the 1 mm images have the same origin and FSL matrices."""

MATRIX_TYPES = ("AffineTransform", "MatrixOffsetTransformBase")

CONVENTION = (
    "Give an EPI-to-MNI transform: ITK .h5, .txt, .tfm or .mat as for `antsApplyTransforms -i EPI "
    "-r MNI -t FILE`, or the 4x4 text .mat of `flirt -in MEAN_EPI -ref MNI152_T1_2mm(_brain) -omat "
    "FILE`. Convert a FNIRT warp to an ITK .h5 first."
)


def library() -> str:
    """Return the library and its version, for the description of the method."""
    return f"nitransforms {version('nitransforms')}"


def read_transform(path: Path, epi: Image) -> Mapping:
    """Read an EPI-to-MNI transform, and return the mapping from MNI points to EPI points.

    Resampling needs this direction, and ITK files have it: a file that resamples an EPI image in
    MNI space maps points from MNI to the EPI. FSL's matrix has the other direction, in FSL's scaled
    voxels of both images; it is converted and inverted.

    Parameters
    ----------
    path
        ITK composite `.h5`, ITK matrix `.txt`, `.tfm` or `.mat`, or FSL FLIRT `.mat`. The content
        of a `.mat` shows whether it is ITK's or FSL's.
    epi
        The image that FLIRT registered, or one on the same grid.

    Returns
    -------
    Callable
        (n, 3) RAS+ millimetres in MNI to (n, 3) RAS+ millimetres in the EPI's scanner frame.

    Raises
    ------
    ConfigError
        The file is absent or in another format.
    """
    try:
        mapping = _read(path, epi)
    except FileNotFoundError:
        raise ConfigError(f"transform {path}: no such file.") from None
    except (
        # The exceptions of nitransforms, h5py and scipy for a file in another format.
        *(TransformFileError, TransformIOError, MatReadError, NotImplementedError, OSError),
        *(ValueError, KeyError, IndexError, TypeError, AttributeError),
    ) as error:
        lines = str(error).splitlines()
        detail = f" ({lines[0][:120]})" if lines else ""
        raise ConfigError(
            f"transform {path.name}: not a readable ITK or FSL transform{detail}. {CONVENTION}"
        ) from error
    probe = mapping(np.zeros((1, 3)))
    if not np.isfinite(probe).all():
        raise ConfigError(f"transform {path.name}: its values are not finite. {CONVENTION}")
    return mapping


def _read(path: Path, epi: Image) -> Mapping:
    suffix = path.suffix.lower()
    if suffix == ".h5":
        return _chain(TransformChain.from_filename(path, fmt="itk").transforms)
    if suffix in (".txt", ".tfm"):
        kind = _itk_text_type(path)
        if not kind.startswith(MATRIX_TYPES):
            raise TransformFileError(f"its type is {kind!r}, not {' or '.join(MATRIX_TYPES)}")
        return _matrix(Affine.from_filename(path, fmt="itk").matrix)
    if suffix == ".mat":
        if not _is_flirt(path):
            return _matrix(Affine.from_filename(path, fmt="itk").matrix)
        reference = nib.Nifti1Image(np.zeros(FSL_MNI_SHAPE, np.uint8), FSL_MNI_AFFINE)
        moving = nib.Nifti1Image(epi.data, epi.affine)
        return _matrix(
            Affine.from_filename(path, fmt="fsl", reference=reference, moving=moving).matrix
        )
    raise TransformFileError(f"the suffix {suffix!r} is not supported")


def _is_flirt(path: Path) -> bool:
    """Return whether a `.mat` is FLIRT's text of sixteen numbers, not ITK's binary file."""
    try:
        numbers = [float(word) for word in path.read_bytes().decode("ascii").split()]
    except (UnicodeDecodeError, ValueError):
        return False
    return len(numbers) == 16


def _itk_text_type(path: Path) -> str:
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("Transform:"):
            return line.partition(":")[2].strip()
    raise TransformFileError("it has no line `Transform:`")


def _matrix(matrix: Any) -> Mapping:
    affine = np.asarray(matrix, dtype=np.float64)
    if affine.shape != (4, 4) or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise TransformFileError("its matrix is not an invertible 4x4")
    return lambda points_mm: apply_affine(affine, points_mm)


def _chain(transforms: list[Any]) -> Mapping:
    if not transforms:
        raise TransformFileError("it holds no transform")

    steps = [
        partial(_apply_field, transform)
        if isinstance(transform, DenseFieldTransform)
        else _matrix(transform.matrix)
        for transform in transforms
    ]

    def mapping(points_mm: Float64) -> Float64:
        for step in steps:
            points_mm = step(points_mm)
        return points_mm

    return mapping


def _apply_field(field: Any, points_mm: Float64) -> Float64:
    """Displace the points inside the field, linearly between its voxels, as ITK does.

    Other points do not move. nitransforms would fit a spline to the coordinates, which oscillates
    at the border of the field, and would fail for points outside it.
    """
    affine = np.asarray(field.reference.affine, dtype=np.float64)
    shape = tuple(int(n) for n in field.reference.shape)
    centres_mm = voxel_centres_mm(shape, affine)
    displacements_mm = (field.map(centres_mm) - centres_mm).reshape(*shape, 3)
    voxels = apply_affine(inverse(affine), points_mm)
    within = np.all((voxels >= 0) & (voxels <= np.array(shape) - 1), axis=1)
    mapped_mm = points_mm.copy()
    for axis in range(3):
        mapped_mm[within, axis] += ndimage.map_coordinates(
            displacements_mm[..., axis], voxels[within].T, order=1, mode="nearest"
        )
    return mapped_mm
