"""Augmentation: modified versions of prepared volumes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from rtdecode.types import Bool, Float32


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """Strength of each modification.

    Volumes are not mirrored, because left and right hand are different states.
    """

    shift_voxels: int = 2
    """Largest shift along each axis, as by errors of registration."""
    gain_sd: float = 0.1
    """Standard deviation of the gain; responses differ between days."""
    noise: float = 0.5
    """Share of the run's residuals at other times that is added."""
    jitter_volumes: int = 1
    """Largest shift of the labels in time, volumes."""


def augment(
    prepared: Float32,
    labels: Labels,
    mask: Bool,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[Float32, NDArray[np.int64]]:
    """Return a modified version of every volume of a training side.

    Parameters
    ----------
    prepared
        (n, V)
    labels
        Labels of these n rows, in temporal order within each run.
    mask
        (X, Y, Z) mask of the V voxels.
    settings
        See `AugmentSettings`.
    rng
        Source of all random numbers.

    Returns
    -------
    volumes : ndarray
        (n, V), each shifted and scaled at random. The noise is the residuals from the class means,
        rolled by a random number of rows. It has the spatial and temporal correlation of the run.
    label : ndarray
        (n,) label of the row before, the same row or the row after, -1 for none.
    """
    residuals = _residuals(prepared, labels)
    later = int(rng.integers(1, max(2, len(prepared))))
    volumes = prepared + settings.noise * np.roll(residuals, later, axis=0)
    volumes *= rng.normal(1.0, settings.gain_sd, (len(volumes), 1)).astype(np.float32)
    places = np.argwhere(mask)
    reach = settings.shift_voxels
    dense = np.zeros(tuple(n + 2 * reach for n in mask.shape), np.float32)
    inner = tuple((places + reach).T)
    for row in volumes:
        dense[inner] = row
        row[:] = dense[tuple((places + reach + rng.integers(-reach, reach + 1, 3)).T)]
    return volumes.astype(np.float32, copy=False), _jittered(labels, settings.jitter_volumes, rng)


def _residuals(prepared: Float32, labels: Labels) -> Float32:
    residuals = prepared.copy()
    for c in np.unique(labels.label):
        mine = labels.label == c
        residuals[mine] -= residuals[mine].mean(axis=0)
    return residuals


def _jittered(labels: Labels, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return labels shifted in time, within each run and without gaps."""
    by = int(rng.integers(-most, most + 1))
    source = np.clip(np.arange(len(labels.label)) + by, 0, len(labels.label) - 1)
    step_s = np.diff(labels.acquired_s)
    usual_s = float(np.median(step_s[step_s > 0])) if (step_s > 0).any() else 1.0
    apart_s = np.abs(labels.acquired_s[source] - labels.acquired_s)
    near = (labels.run[source] == labels.run) & (apart_s <= (abs(by) + 0.5) * usual_s)
    return np.where(near, labels.label[source], labels.label)
