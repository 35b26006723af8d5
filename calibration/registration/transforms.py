"""A transform from EPI to MNI that the user already has: ITK or FSL, read by nitransforms."""

from collections.abc import Callable
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
"""FSL's MNI152 at 2 mm; its 1 mm images have the same first voxel and so the same FSL matrices."""

MATRIX_TYPES = ("AffineTransform", "MatrixOffsetTransformBase")

CONVENTION = (
    "Expected is EPI to MNI: ITK .h5, .txt, .tfm or .mat as `antsApplyTransforms -i EPI -r MNI -t "
    "FILE` takes it, or the 4x4 text .mat of `flirt -in MEAN_EPI -ref MNI152_T1_2mm(_brain) -omat "
    "FILE`. A FNIRT warp: convert it to an ITK .h5 first."
)


def library() -> str:
    """Return the library and its version, for a record of method."""
    return f"nitransforms {version('nitransforms')}"


def read_transform(path: Path, epi: Image) -> Mapping:
    """Read an EPI-to-MNI transform and return what carries MNI points to EPI points.

    That is the direction resampling needs, and the one ITK files hold: the file that pulls an EPI
    image onto MNI maps MNI's points to the EPI's. FSL's matrix goes the other way, in FSL's own
    scaled voxels of both images, and is converted and inverted.

    Parameters
    ----------
    path
        ITK composite `.h5`, ITK matrix `.txt`, `.tfm` or `.mat`, or FSL FLIRT `.mat`; an ITK and an
        FSL `.mat` are told apart by what is in them.
    epi
        The image that FLIRT registered, or one on the same grid.

    Returns
    -------
    Callable
        (n, 3) RAS+ millimetres in MNI to (n, 3) RAS+ millimetres in the EPI's scanner frame.

    Raises
    ------
    ConfigError
        If the file is absent or not one of these.
    """
    try:
        mapping = _read(path, epi)
    except FileNotFoundError:
        raise ConfigError(f"transform {path}: no such file.") from None
    except (
        # What nitransforms, h5py and scipy raise on a file that is something else.
        *(TransformFileError, TransformIOError, MatReadError, NotImplementedError, OSError),
        *(ValueError, KeyError, IndexError, TypeError, AttributeError),
    ) as error:
        said = str(error).splitlines()
        detail = f" ({said[0][:120]})" if said else ""
        raise ConfigError(
            f"transform {path.name}: not readable as an ITK or FSL transform{detail}. {CONVENTION}"
        ) from error
    probe = mapping(np.zeros((1, 3)))
    if not np.isfinite(probe).all():
        raise ConfigError(f"transform {path.name}: holds values that are not finite. {CONVENTION}")
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
    raise TransformFileError(f"the suffix {suffix or 'that is missing'} is none of these")


def _is_flirt(path: Path) -> bool:
    """Tell FLIRT's sixteen numbers in text from ITK's binary `.mat`."""
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

    def mapping(points_mm: Float64) -> Float64:
        for transform in transforms:
            field = isinstance(transform, DenseFieldTransform)
            mapped = _through_field if field else _through_matrix
            points_mm = mapped(transform, points_mm)
        return points_mm

    return mapping


def _through_matrix(transform: Any, points_mm: Float64) -> Float64:
    return apply_affine(np.asarray(transform.matrix, dtype=np.float64), points_mm)


def _through_field(field: Any, points_mm: Float64) -> Float64:
    """Displace the points inside the field, linearly between its voxels; leave the others.

    As ITK does. nitransforms would fit a spline to the coordinates themselves, which rings at the
    field's border, and fail where a point lies beyond it.
    """
    affine = np.asarray(field.reference.affine, dtype=np.float64)
    shape = tuple(int(n) for n in field.reference.shape)
    centres_mm = voxel_centres_mm(shape, affine)
    pushes_mm = (field.map(centres_mm) - centres_mm).reshape(*shape, 3)
    voxels = apply_affine(inverse(affine), points_mm)
    within = np.all((voxels >= 0) & (voxels <= np.array(shape) - 1), axis=1)
    moved = points_mm.copy()
    for axis in range(3):
        moved[within, axis] += ndimage.map_coordinates(
            pushes_mm[..., axis], voxels[within].T, order=1, mode="nearest"
        )
    return moved
