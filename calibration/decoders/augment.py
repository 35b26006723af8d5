"""Other volumes that the same brain could have given."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from rtdecode.types import Bool, Float32


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How far a made-up volume may be from the one it was made of.

    There is no mirroring: left and right hands are different states.
    """

    shift_voxels: int = 2
    """Registration errs by up to so much, along each axis."""
    gain_sd: float = 0.1
    """Responses are stronger on some days."""
    noise: float = 0.5
    """How much of the run's own residuals, at other times, is added."""
    jitter_volumes: int = 1
    """The response may lag behind by so much less or more."""


def augment(
    prepared: Float32,
    labels: Labels,
    mask: Bool,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[Float32, NDArray[np.int64]]:
    """Make one more version of every volume of a training side.

    Parameters
    ----------
    prepared
        (n, V)
    labels
        Of these n rows, in temporal order within each run.
    mask
        (X, Y, Z), the V voxels' places.
    settings
        See `AugmentSettings`.
    rng
        Draws everything.

    Returns
    -------
    volumes : ndarray
        (n, V), each shifted and scaled by a draw of its own. The noise is what the class means do
        not explain, all of it from a random number of rows later: so it is as smooth in space and
        as correlated in time as the run's own.
    label : ndarray
        (n,) the label of the row one earlier, the same or one later, -1 for none.
    """
    residuals = _residuals(prepared, labels)
    later = int(rng.integers(1, max(2, len(prepared))))
    made = prepared + settings.noise * np.roll(residuals, later, axis=0)
    made *= rng.normal(1.0, settings.gain_sd, (len(made), 1)).astype(np.float32)
    places = np.argwhere(mask)
    reach = settings.shift_voxels
    dense = np.zeros(tuple(n + 2 * reach for n in mask.shape), np.float32)
    inner = tuple((places + reach).T)
    for row in made:
        dense[inner] = row
        row[:] = dense[tuple((places + reach + rng.integers(-reach, reach + 1, 3)).T)]
    return made.astype(np.float32, copy=False), _jittered(labels, settings.jitter_volumes, rng)


def _residuals(prepared: Float32, labels: Labels) -> Float32:
    residuals = prepared.copy()
    for c in np.unique(labels.label):
        mine = labels.label == c
        residuals[mine] -= residuals[mine].mean(axis=0)
    return residuals


def _jittered(labels: Labels, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return labels read a little earlier or later, within each run and without gaps."""
    by = int(rng.integers(-most, most + 1))
    source = np.clip(np.arange(len(labels.label)) + by, 0, len(labels.label) - 1)
    step_s = np.diff(labels.acquired_s)
    usual_s = float(np.median(step_s[step_s > 0])) if (step_s > 0).any() else 1.0
    apart_s = np.abs(labels.acquired_s[source] - labels.acquired_s)
    near = (labels.run[source] == labels.run) & (apart_s <= (abs(by) + 0.5) * usual_s)
    return np.where(near, labels.label[source], labels.label)
