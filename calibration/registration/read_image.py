"""Read a structural image."""

from pathlib import Path

import nibabel as nib
import numpy as np

from rtdecode.errors import ConfigError
from rtdecode.types import Float32, Float64


def read_image(path: Path, option: str) -> tuple[Float32, Float64]:
    """Return the values (X, Y, Z) and the affine of a NIfTI image, in RAS orientation.

    Parameters
    ----------
    path
        The file.
    option
        The option that names it, for the error message.

    Raises
    ------
    ConfigError
        The file is not a NIfTI image.
    """
    try:
        image = nib.as_closest_canonical(nib.Nifti1Image.from_filename(path))
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        raise ConfigError(f"{option} {path}: not a NIfTI image: {error}") from error
    return np.asarray(image.dataobj, dtype=np.float32), np.asarray(image.affine, dtype=np.float64)
