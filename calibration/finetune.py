"""A first, simple fine-tune: an output layer fitted to one person on the network's cached features.

Shrinkage LDA on the features that differ most between the classes: closed form, seconds, and one
matrix product in the exported decoder.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.covariance import ledoit_wolf_shrinkage

from calibration.networks import DeepLight, MaskedSlices, layer_features
from calibration.progress import Progress
from rtdecode.types import Bool, Float32, Float64, Prepared

COARSE_MM = 8.0
N_FEATURES = 3000
"""How many features the output layer reads: those with the highest F statistic."""

LEAST_SHRINKAGE = 1e-3
"""With fewer volumes than features, none at all would divide by zero."""
SPREAD_FLOOR = 0.1
"""Of the typical feature's spread, added to every feature's."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear output layer: logits = weight @ features + bias."""

    weight: NDArray[np.float32]
    """(classes, features)"""
    bias: NDArray[np.float32]
    """(classes,)"""

    def log_probabilities(self, features: Float32) -> Float64:
        """Return (n, classes) log-softmax of the logits of (n, features)."""
        return log_softmax(features @ self.weight.T + self.bias)


def log_softmax(logits: NDArray[np.floating]) -> Float64:
    """Return (n, classes) log-probabilities of logits."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def fit_head(features: Float32, labels: NDArray[np.int64], n_classes: int) -> Head:
    """Fit linear discriminant analysis with Ledoit-Wolf shrinkage, classes equally probable.

    Parameters
    ----------
    features
        (volumes, features) as the network gives them.
    labels
        (volumes,) in 0 ... `n_classes` - 1, every class present.
    n_classes
        Number of classes.

    Notes
    -----
    The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf 2004), after every
    feature was scaled to about unit variance within classes. There are far fewer volumes than
    features, so its inverse is applied through the volumes (Woodbury's identity).
    """
    chosen, scale = _most_different(features, labels, n_classes)
    x = features[:, chosen] / scale
    means = np.stack([x[labels == c].mean(axis=0) for c in range(n_classes)])
    within = x - means[labels]
    # Only what distinguishes the classes enters the weights: they stay small, and so does rounding.
    common = means.mean(axis=0)
    own = means - common
    shrinkage = max(ledoit_wolf_shrinkage(within, assume_centered=True), LEAST_SHRINKAGE)
    ridge = shrinkage * float((within**2).mean())
    share = (1 - shrinkage) / len(within)
    # (ridge I + share W'W)^-1 M' = (M' - share W' (ridge I + share W W')^-1 W M') / ridge
    gram = share * (within @ within.T) + ridge * np.eye(len(within))
    through_volumes = within.T @ np.linalg.solve(gram, within @ own.T)
    solved = (own.T - share * through_volumes) / ridge
    weight = np.zeros((n_classes, features.shape[1]), dtype=np.float32)
    weight[:, chosen] = (solved / scale[:, None]).T
    bias = -0.5 * np.einsum("kf,fk->k", own, solved) - common @ solved
    return Head(weight, bias.astype(np.float32))


def fit(
    features: Float32, labels: NDArray[np.int64], n_classes: int
) -> Callable[[Float32], Float64]:
    """Fit the head, in the form that `calibration.evaluate` cross-validates."""
    return fit_head(features, labels, n_classes).log_probabilities


def fit_temperature(log_probabilities: Float64, labels: NDArray[np.int64]) -> float:
    """Return the temperature that makes held-out log-probabilities honest (Guo et al. 2017).

    Parameters
    ----------
    log_probabilities
        (n, classes) of volumes that the head was not fitted to.
    labels
        (n,)
    """

    def log_loss(log_temperature: float) -> float:
        cooled = log_softmax(log_probabilities / np.exp(log_temperature))
        return -float(cooled[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(-2.0, 6.0), method="bounded").x))


def network_features(
    network: DeepLight, prepared: Sequence[Prepared], mask: Bool, layer: int, progress: Progress
) -> Float32:
    """Run the first `layer` convolutions over prepared volumes.

    Returns
    -------
    (volumes, features), features as `ReadOut` reads them
    """
    slices = MaskedSlices(mask)
    features = []
    network = copy.deepcopy(network).eval()
    with torch.inference_mode():
        for done, volume in enumerate(prepared, start=1):
            laid_out = slices(torch.from_numpy(np.array(volume.data)))
            features.append(layer_features(network, laid_out, layer).numpy())
            progress("network's features", done, len(prepared))
    return np.stack(features)


def coarse_voxels(prepared: Sequence[Prepared], mask: Bool, grid_affine: Float64) -> Float32:
    """Average prepared volumes over cubes of `COARSE_MM`: the plain decoder's input.

    Returns
    -------
    (volumes, cubes that hold mask voxels)
    """
    voxel_mm = np.abs(np.diag(grid_affine)[:3])
    cube = np.floor(np.argwhere(mask) * voxel_mm / COARSE_MM).astype(int)
    _, place, count = np.unique(cube, axis=0, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(place.ravel(), weights=volume.data) for volume in prepared])
    return (sums / count).astype(np.float32)


def _most_different(
    features: Float32, labels: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.int64], Float64]:
    """Return the features with the highest F statistic, and each one's spread within classes."""
    means = np.stack([features[labels == c].mean(axis=0) for c in range(n_classes)])
    within: Float64 = ((features - means[labels]) ** 2).mean(axis=0, dtype=np.float64)
    # A rectified feature that hardly ever leaves zero has next to no spread: without a floor its
    # weight would be enormous, and the decision would hang on rounding.
    floor = SPREAD_FLOOR**2 * float(np.median(within[within > 0]))
    statistic = means.var(axis=0, dtype=np.float64) / (within + floor)
    chosen = np.sort(np.argsort(-statistic, kind="stable")[:N_FEATURES])
    return chosen, np.sqrt(within[chosen] + floor)
