"""A study file: what several people's calibrations have in common, for the next person."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from calibration.weights.store import Description
from rtdecode.errors import ConfigError
from rtdecode.types import Float32

if TYPE_CHECKING:
    # torch takes seconds to import, and the checks of options need none of it.
    from calibration.networks import DeepLight

FORMAT = "rtdecode-study-1"
NETWORK = "network"
"""Prefix of the network's tensors."""
HALF = ("means", "spread", "scatter")
"""Arrays that are stored in half precision, which is finer than their uncertainty."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerStatistics:
    """Statistics of one layer's features over people."""

    index: NDArray[np.int64]
    """(f,) positions of the features, ascending: voxels of the grid in C order, or values of the
    layer's output for all slices of the grid."""
    per_slice: int
    """Number of values of one slice; 0 for voxels."""
    scale: Float32
    """(f,) spread within people and classes, by which each feature is divided."""
    means: Float32
    """(K, f) class means of the divided features, averaged over people."""
    spread: Float32
    """(K, f) standard deviation of these means between people."""
    scatter: Float32
    """(r, f) rows R; R'R is the scatter of all volumes about their person's class means."""


@dataclass(frozen=True, slots=True)
class LeftOutPerson:
    """Held-out performance for one person, with a study of all others."""

    name: str
    n_volumes: int
    """Number of scored volumes."""
    shares: Mapping[int, Mapping[str, float]]
    """Share of the scored volumes decoded correctly, by own blocks of each class and decoder."""


@dataclass(frozen=True, slots=True)
class StudyDescription:
    """The metadata of a study file."""

    weights: str
    """Name of the pretrained weights of all bundles."""
    weights_sha256: str
    network: Description
    """The metadata of these weights, which the study contains."""
    classes: tuple[str, ...]
    n_people: int
    n_volumes: int
    """Number of labelled volumes of all people."""
    temperature: float
    """Divisor of the logits of a decoder without own data, fitted on people left out."""
    pseudo_blocks: float
    """Own blocks that the class means of others count as, fitted on people left out."""
    blocks_of_prior: float
    """Own blocks with which own decoder and priors weigh the same, fitted on people left out."""
    fingerprints: tuple[str, ...]
    """Digests of the runs; a run of the study must not be decoded as a new person's."""
    left_out: tuple[LeftOutPerson, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A study in memory."""

    about: StudyDescription
    layers: Mapping[int, LayerStatistics]
    """By number of convolutions, or -1 for voxels."""


def save_study(study: Study, network: "DeepLight", path: Path) -> None:
    """Write a study with its network as safetensors, whole or not at all."""
    tensors = {
        f"{NETWORK}/{name}": _small(value.detach().numpy())
        for name, value in network.state_dict().items()
    }
    for layer, statistics in study.layers.items():
        for name, value in asdict(statistics).items():
            kept = value.astype(np.float16) if name in HALF else value
            tensors[f"{layer}/{name}"] = np.atleast_1d(np.ascontiguousarray(kept))
    metadata = {"format": FORMAT, "about": msgspec.json.encode(study.about).decode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(save(tensors, metadata))
    partial.replace(path)


def is_study(path: Path) -> bool:
    """Return whether a weights file is a study; any unreadable file is not."""
    return _metadata(path).get("format") == FORMAT


def describe_study(path: Path) -> StudyDescription:
    """Return the metadata of a study file.

    Raises
    ------
    ConfigError
        The file is not a study, or its metadata are damaged.
    """
    metadata = _metadata(path)
    if metadata.get("format") != FORMAT:
        raise ConfigError(f"{path}: is not a study of `rtdecode group`")
    try:
        return msgspec.json.decode(metadata.get("about", ""), type=StudyDescription)
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{path}: the study's metadata are damaged ({error}); run `rtdecode group` again"
        ) from error


def load_study(path: Path) -> "tuple[Study, DeepLight]":
    """Read a study and its network.

    Raises
    ------
    ConfigError
        The file is not a study, or it is damaged.
    """
    import torch

    from calibration.networks import DeepLight

    about = describe_study(path)
    network = DeepLight(about.network.grid_shape, len(about.network.states))
    weights: dict[str, torch.Tensor] = {}
    layers: dict[int, dict[str, np.ndarray]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118 - not a mapping
                layer, name = key.split("/")
                value = file.get_tensor(key)
                if layer == NETWORK:
                    weights[name] = torch.from_numpy(value.astype(np.float32))
                    continue
                whole = value.astype(np.float32) if name in HALF else value
                layers.setdefault(int(layer), {})[name] = whole
        statistics = {
            layer: LayerStatistics(per_slice=int(arrays.pop("per_slice")[0]), **arrays)
            for layer, arrays in layers.items()
        }
        network.load_state_dict(weights)
    except (SafetensorError, OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigError(
            f"{path}: the study is damaged ({error}); run `rtdecode group` again"
        ) from error
    return Study(about, statistics), network.eval()


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def _small(value: Float32) -> np.ndarray:
    """Return the values in half precision if that changes none of them."""
    half = value.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), value) else value
