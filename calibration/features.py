"""What a decoder may read of a prepared volume."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans

from calibration.networks import DeepLight, MaskedSlices, SliceSequence
from calibration.progress import Progress, silent
from rtdecode.types import Bool, Float32, Float64

COARSE_MM = 8.0
PARCELS = 400
RECURRENT = 0
"""Stands for the recurrent features among the numbers of convolutions."""
HALF_ABOVE = 300_000
"""More features than this a volume are kept in half precision: they are only looked through."""


def network_features(
    network: DeepLight,
    prepared: Float32,
    mask: Bool,
    layers: Sequence[int],
    progress: Progress = silent,
    device: str = "cpu",
) -> dict[int, Float32]:
    """Run a network over prepared volumes once, and keep what several layers say.

    Parameters
    ----------
    network
        Not changed.
    prepared
        (n, V)
    mask
        (X, Y, Z)
    layers
        After how many convolutions; `RECURRENT` for the 128 recurrent features.
    progress
        Told how many volumes are done.
    device
        Where torch computes.

    Returns
    -------
    For each layer (n, F); features as `ReadOut` reads them.
    """
    slices = MaskedSlices(mask).to(device)
    network = copy.deepcopy(network).eval().to(device)
    sequence = SliceSequence(network, slices)
    wanted = set(layers)
    depth = len(network.convolutions) if RECURRENT in wanted else max(wanted)
    kept: dict[int, Float32] = {}
    with torch.inference_mode():
        for done, volume in enumerate(prepared):
            x = slices(torch.from_numpy(np.array(volume)).to(device))
            for layer, activations in enumerate(network.stepwise(x, depth), start=1):
                if layer in wanted:
                    _keep(kept, layer, done, len(prepared), activations.reshape(-1))
            if RECURRENT in wanted:
                found = network.sequence_features(sequence(activations))[0]
                _keep(kept, RECURRENT, done, len(prepared), found)
            progress("network's features", done + 1, len(prepared))
    return kept


def _keep(kept: dict[int, Float32], layer: int, row: int, rows: int, values: torch.Tensor) -> None:
    if layer not in kept:
        dtype = np.float16 if values.numel() > HALF_ABOVE else np.float32
        kept[layer] = np.empty((rows, values.numel()), dtype)
    kept[layer][row] = values.cpu().numpy()


def coarse_voxels(prepared: Float32, mask: Bool, grid_affine: Float64) -> Float32:
    """Average prepared volumes over cubes of `COARSE_MM`.

    Returns
    -------
    (n, cubes that hold mask voxels)
    """
    voxel_mm = np.abs(np.diag(grid_affine)[:3])
    cube = np.floor(np.argwhere(mask) * voxel_mm / COARSE_MM).astype(int)
    _, place = np.unique(cube, axis=0, return_inverse=True)
    return _averages(prepared, place.ravel())


def parcels(prepared: Float32, mask: Bool, grid_affine: Float64, seed: int = 0) -> Float32:
    """Average prepared volumes over `PARCELS` compact parcels: k-means of the voxels' places.

    No atlas is needed, and none is meant: these are pieces of equal size, not areas.

    Returns
    -------
    (n, parcels)
    """
    voxel_mm = np.abs(np.diag(grid_affine)[:3])
    places_mm = np.argwhere(mask) * voxel_mm
    rng = np.random.default_rng(seed)
    sample = places_mm[rng.permutation(len(places_mm))[: 20 * PARCELS]]
    found = KMeans(min(PARCELS, len(sample)), n_init=1, max_iter=20, random_state=seed).fit(sample)
    return _averages(prepared, found.predict(places_mm))


def motion_features(motion: Float64) -> Float32:
    """Return the six motion parameters, their changes and their squares, (n, 18), z-scored."""
    change = np.diff(motion, axis=0, prepend=motion[:1])
    values = np.concatenate([motion, change, motion**2], axis=1)
    spread = values.std(axis=0)
    return ((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(np.float32)


def time_features(acquired_s: Float64) -> Float32:
    """Return slow functions of the time in the run, (n, 6): polynomials and a pair of waves."""
    t = 2 * (acquired_s - acquired_s.min()) / max(float(np.ptp(acquired_s)), 1.0) - 1
    waves = [np.sin(np.pi * t), np.cos(np.pi * t)]
    return np.stack([t, t**2, t**3, t**4, *waves], axis=1).astype(np.float32)


def _averages(prepared: Float32, place: np.ndarray) -> Float32:
    count = np.bincount(place)
    sums = np.stack([np.bincount(place, weights=volume) for volume in prepared])
    used = count > 0
    return (sums[:, used] / count[used]).astype(np.float32)
