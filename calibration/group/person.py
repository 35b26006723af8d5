"""One person of a study: prepared volumes, labels, and the features of the network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.networks.features import VOXELS
from rtdecode.types import Bool, Float32


@dataclass(frozen=True, slots=True, eq=False)
class PersonData:
    """The data of one person."""

    mask: Bool
    """(X, Y, Z) voxels of the prepared volumes, on the grid of the weights."""
    labels: Labels
    """Labels of the volumes; unusable volumes are neither an example nor rest."""
    features: Mapping[int, Float32]
    """(n, F) features of each layer; those of `VOXELS` are the prepared volumes."""


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One person of a study."""

    name: str
    """Name for the report: the bundle's."""
    digest: str
    """Identifies the data."""
    fingerprints: tuple[str, ...]
    """The digest of each run."""
    load: Callable[[], PersonData]
    """Reads the data, which are large."""


def grid_positions(layer: int, mask: Bool, n_features: int) -> tuple[NDArray[np.int64], int, int]:
    """Return where a person's features lie among those of the whole grid.

    Parameters
    ----------
    layer
        A number of convolutions, or `VOXELS`.
    mask
        The person's voxels, (X, Y, Z).
    n_features
        Number of the person's features, F.

    Returns
    -------
    positions : ndarray
        (F,) positions, ascending.
    total : int
        Number of features of the whole grid.
    per_slice : int
        Number of features of one slice; 0 for voxels.
    """
    if layer == VOXELS:
        return np.flatnonzero(mask.ravel()), mask.size, 0
    present = np.flatnonzero(mask.any(axis=(0, 1)))
    per_slice = n_features // len(present)
    positions = (present[:, None] * per_slice + np.arange(per_slice)).ravel()
    return positions, mask.shape[2] * per_slice, per_slice
