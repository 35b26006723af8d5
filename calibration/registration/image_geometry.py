"""Geometry for registration: points, grids and overlap."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rtdecode.types import Bool, Float32, Float64, frozen

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A volume with its position in space."""

    data: Float32
    """The values, (X, Y, Z)."""
    affine: Float64
    """Affine from voxels to millimetres, RAS+, (4, 4)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", frozen(self.data, np.float32))
        object.__setattr__(self, "affine", frozen(self.affine, np.float64))

    @property
    def voxel_mm(self) -> Float64:
        """Edge lengths of a voxel in millimetres, (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0), dtype=np.float64)

    def masked(self, mask: Bool) -> "Image":
        """Return the image with zeros outside `mask`."""
        return Image(np.where(mask, self.data, np.float32(0)), self.affine)


def apply_affine(affine: Float64, points: Float64) -> Float64:
    """Apply a (4, 4) affine to (n, 3) points.

    The sums are written out, because matrix products differ in the last bit between CPUs.
    """
    x, y, z = points.T
    mapped = np.empty(points.shape)
    for axis in range(3):
        a, b, c, shift = (float(value) for value in affine[axis])
        mapped[:, axis] = a * x + b * y + c * z + shift
    return mapped


def inverse(affine: Float64) -> Float64:
    """Return the inverse of a (4, 4) affine by cross products, identical on every CPU."""
    first, second, third, shift = np.asarray(affine, dtype=np.float64)[:3].T
    rows = [np.cross(second, third), np.cross(third, first), np.cross(first, second)]
    determinant = first[0] * rows[0][0] + first[1] * rows[0][1] + first[2] * rows[0][2]
    result = np.eye(4)
    result[:3, :3] = np.array(rows) / determinant
    result[:3, 3] = -apply_affine(result, shift[None])[0]
    return result


def voxel_centres_mm(shape: Shape, affine: Float64) -> Float64:
    """Return the centre of every voxel, (n, 3) millimetres, in C order."""
    indices = np.indices(shape, dtype=np.float64).reshape(3, -1).T
    return apply_affine(affine, indices)


def sample(data: NDArray[Any], affine: Float64, points_mm: Float64) -> Float32:
    """Interpolate `data` linearly at (n, 3) millimetres; zero outside its field of view."""
    voxels = apply_affine(inverse(affine), points_mm)
    values: Float32 = ndimage.map_coordinates(
        np.asarray(data, dtype=np.float32), voxels.T, order=1, mode="nearest"
    )
    return np.where(_within(data.shape, voxels), values, np.float32(0))


def inside(shape: Shape, affine: Float64, points_mm: Float64) -> Bool:
    """Return which (n, 3) points lie in an image's field of view."""
    return _within(shape, apply_affine(inverse(affine), points_mm))


def _within(shape: Shape, voxels: Float64) -> Bool:
    # A voxel extends half a voxel beyond its centre, as in `rtdecode.stages`.
    within: Bool = np.all((voxels >= -0.5) & (voxels <= np.array(shape) - 0.5), axis=1)
    return within


def dice(first: Bool, second: Bool) -> float:
    """Return the Dice coefficient of two masks (Dice 1945); 0 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 0.0


def mutual_information(first: Float32, second: Float32, bins: int = 16) -> float:
    """Return the mutual information of two images' voxels in nats, over bins of equal count.

    The bias in small samples is corrected (Miller 1955, Madow).
    """
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    one, two = (np.searchsorted(np.quantile(v, edges), v) for v in (first, second))
    counts = np.bincount(one * bins + two, minlength=bins * bins).reshape(bins, bins)
    joint = counts / max(first.size, 1)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    nonzero = joint > 0
    raw = float(np.sum(joint[nonzero] * np.log(joint[nonzero] / independent[nonzero])))
    return raw - (bins - 1) ** 2 / (2 * max(first.size, 1))
