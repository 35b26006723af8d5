"""Group maps: an image of a contrast in MNI space for each class is a prior for the voxels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from calibration.data.labels import REST
from calibration.decoders.prior import ClassMeans, LayerPrior
from calibration.networks.features import VOXELS
from calibration.registration.read_image import read_image
from rtdecode.errors import ConfigError
from rtdecode.types import Bool, Float32, Float64

NAME = "voxels with group maps"
N_VOXELS = 3000
"""Number of voxels that the prior reads: those in which the maps of the classes differ most."""
EFFECT = 0.5
"""Root mean square of the class differences in these voxels, in standard deviations of a voxel over
the run. Maps have no common unit; this is the size of the effect in HCP-derived people."""


def check_maps(maps: Mapping[str, Path], classes: Sequence[str]) -> None:
    """Refuse maps that do not belong to the classes; rest needs no map.

    Raises
    ------
    ConfigError
        With every class without a map, and every map without a class.
    """
    problems = [
        f"--prior: no class {name!r}; there are {', '.join(classes)}"
        for name in maps
        if name not in classes
    ]
    problems += [
        f"--prior: {name} has no map; give --prior {name}=FILE.nii.gz"
        for name in classes
        if name not in maps and name != REST
    ]
    if problems:
        raise ConfigError(problems)


def group_maps_prior(
    maps: Mapping[str, Path],
    classes: Sequence[str],
    prepared: Float32,
    mask: Bool,
    grid_affine: Float64,
) -> LayerPrior:
    """Return the prior of group maps.

    Parameters
    ----------
    maps
        The map of each class, in MNI space. Rest without a map is 0 everywhere.
    classes
        The decoder's classes, in order.
    prepared
        (n, V) the person's prepared volumes, of which only the spread is used.
    mask
        The voxels, (X, Y, Z).
    grid_affine
        (4, 4) grid voxel to MNI millimetres.

    Raises
    ------
    ConfigError
        A file is not an image, or does not cover the brain.
    """
    means = np.zeros((len(classes), int(mask.sum())))
    problems: list[str] = []
    for row, name in enumerate(classes):
        if name not in maps:
            continue
        try:
            means[row] = _sample(maps[name], mask, grid_affine)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    means -= means.mean(axis=0)
    scale = prepared.std(axis=0, dtype=np.float64)
    difference = np.sqrt((means**2).mean(axis=0)) * (scale > 0)
    order = np.lexsort((np.arange(len(difference)), -difference))[:N_VOXELS]
    index = np.sort(order[difference[order] > 0])
    size = np.sqrt((means[:, index] ** 2).mean())
    return LayerPrior(
        NAME,
        VOXELS,
        "maps " + ", ".join(f"{name}={path.name}" for name, path in maps.items()),
        ClassMeans(
            index=index,
            scale=scale[index],
            means=EFFECT * means[:, index] / size,
            scatter=np.zeros((0, len(index))),
            n_scatter=0.0,
        ),
    )


def _sample(path: Path, mask: Bool, grid_affine: Float64) -> Float64:
    """Return a map's values at the voxels of the mask, (V,); linear interpolation."""
    from scipy.ndimage import map_coordinates

    image, affine = read_image(path, "--prior")
    values = np.nan_to_num(image.astype(np.float64))
    if values.ndim != 3:
        raise ConfigError(f"--prior {path}: has {values.ndim} dimensions; give an image of 3")
    to_voxel = np.linalg.inv(affine) @ grid_affine
    places = to_voxel[:3, :3] @ np.argwhere(mask).T + to_voxel[:3, 3:]
    sampled = map_coordinates(values, places, order=1, mode="constant", cval=0.0)
    if not np.any(sampled):
        raise ConfigError(f"--prior {path}: is 0 everywhere in the brain; is it in MNI space?")
    return np.asarray(sampled, dtype=np.float64)
