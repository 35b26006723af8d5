"""Features of prepared volumes, the input of a decoder."""

import copy
import os
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
import torch
from sklearn.cluster import KMeans

from calibration.compute import one_thread
from calibration.networks import DeepLight, MaskedSlices, SliceSequence
from calibration.networks.feature_graph import (
    RECURRENT_OUTPUT,
    VOLUME,
    feature_graph,
    output_name,
)
from calibration.progress import Progress, silent
from rtdecode.types import Bool, Float32, Float64

COARSE_MM = 8.0
PARCELS = 400
RECURRENT = 0
"""Layer number of the recurrent features."""
VOXELS = -1
"""Layer number that stands for the voxels themselves."""
HALF_ABOVE = 300_000
"""Layers with more features than this are stored in half precision."""

Extractor = Callable[[Float32], dict[int, Float32]]
"""Returns each layer's features (F,) of a prepared volume (V,)."""


class FeatureExtractor:
    """Computes the features of several layers of a network, one prepared volume at a time.

    It uses ONNX Runtime on the CPU, which takes half of torch's time, and torch elsewhere. The
    features of a volume depend neither on the volumes before it nor on the number of threads.

    Parameters
    ----------
    network
        The network, which is not changed.
    mask
        The voxels that a prepared volume holds, (X, Y, Z).
    layers
        Layers, as the number of convolutions; `RECURRENT` for the 128 recurrent features.
    device
        `cpu`, or the device of torch.
    threads
        Number of threads on the CPU.
    """

    def __init__(
        self,
        network: DeepLight,
        mask: Bool,
        layers: Sequence[int],
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        network = copy.deepcopy(network).eval().to(device)
        self._features = (
            with_runtime(network, mask, layers, threads)
            if device == "cpu"
            else with_torch(network, mask, layers, device)
        )

    def step(self, volume: Float32) -> dict[int, Float32]:
        """Return each layer's features (F,) of a prepared volume (V,), as `ReadOut` reads them.

        Layers of more than `HALF_ABOVE` features are in half precision.
        """
        return {
            layer: values.astype(np.float16 if values.size > HALF_ABOVE else np.float32, copy=False)
            for layer, values in self._features(volume).items()
        }


class FeatureTable:
    """The features of the volumes of a run, set volume by volume."""

    def __init__(self) -> None:
        self.arrays: dict[int, Float32] = {}
        """Features of each layer, (n, F)."""

    def put(self, row: int, rows: int, features: dict[int, Float32]) -> None:
        """Set one volume's features.

        Parameters
        ----------
        row
            Index of the volume.
        rows
            Total number of volumes.
        features
            From `FeatureExtractor.step`.
        """
        for layer, values in features.items():
            if layer not in self.arrays:
                self.arrays[layer] = np.empty((rows, values.size), values.dtype)
            self.arrays[layer][row] = values


def network_features(
    network: DeepLight,
    prepared: Float32,
    mask: Bool,
    layers: Sequence[int],
    progress: Progress = silent,
    device: str = "cpu",
    threads: int | None = None,
) -> dict[int, Float32]:
    """Return the features of several layers of a network for prepared volumes.

    Parameters
    ----------
    network, mask, layers, device, threads
        As for `FeatureExtractor`; `threads` is every core by default.
    prepared
        Prepared volumes, (n, V).
    progress
        Called with the number of computed volumes.

    Returns
    -------
    For each layer (n, F).
    """
    extractor = FeatureExtractor(network, mask, layers, device, threads or os.cpu_count() or 1)
    table = FeatureTable()
    for row, volume in enumerate(prepared):
        table.put(row, len(prepared), extractor.step(volume))
        progress("network's features", row + 1, len(prepared))
    return table.arrays


def with_runtime(network: DeepLight, mask: Bool, layers: Sequence[int], threads: int) -> Extractor:
    """Return the extractor that uses ONNX Runtime on the CPU, where `network` is."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.use_deterministic_compute = True
    # Waiting threads must not use the cores of other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    convolutions = sorted(set(layers) - {RECURRENT})
    with one_thread():  # the result for an empty slice must not depend on the number of threads
        graph = feature_graph(network, mask, convolutions, recurrent=RECURRENT in layers)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = {layer: output_name(layer) for layer in convolutions}
    if RECURRENT in layers:
        names[RECURRENT] = RECURRENT_OUTPUT

    def step(volume: Float32) -> dict[int, Float32]:
        features: list[Float32] = session.run(
            list(names.values()), {VOLUME: np.ascontiguousarray(volume)}
        )
        return dict(zip(names, features, strict=True))

    return step


def with_torch(network: DeepLight, mask: Bool, layers: Sequence[int], device: str) -> Extractor:
    """Return the extractor that uses torch on `device`, where `network` is."""
    slices = MaskedSlices(mask).to(device)
    sequence = SliceSequence(network, slices)
    requested = set(layers)
    depth = len(network.convolutions) if RECURRENT in requested else max(requested)

    def step(volume: Float32) -> dict[int, Float32]:
        features: dict[int, torch.Tensor] = {}
        with torch.inference_mode():
            x = slices(torch.from_numpy(np.array(volume)).to(device))
            for layer, activations in enumerate(network.stepwise(x, depth), start=1):
                if layer in requested:
                    features[layer] = activations.reshape(-1)
            if RECURRENT in requested:
                features[RECURRENT] = network.sequence_features(sequence(activations))[0]
        return {layer: values.cpu().numpy() for layer, values in features.items()}

    return step


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
    """Average prepared volumes over `PARCELS` compact parcels: k-means of voxel positions.

    The parcels are pieces of similar size, not areas of an atlas.

    Returns
    -------
    (n, parcels)
    """
    voxel_mm = np.abs(np.diag(grid_affine)[:3])
    places_mm = np.argwhere(mask) * voxel_mm
    rng = np.random.default_rng(seed)
    sample = places_mm[rng.permutation(len(places_mm))[: 20 * PARCELS]]
    clusters = KMeans(min(PARCELS, len(sample)), n_init=1, max_iter=20, random_state=seed).fit(
        sample
    )
    return _averages(prepared, clusters.predict(places_mm))


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
