"""Intermediate files of `rtdecode group`, so that an interrupted command continues."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np

from calibration.data.labels import Labels
from calibration.group.moments import Moments
from rtdecode.events import Block
from rtdecode.types import Bool, Float32, Float64


@dataclass(frozen=True, slots=True, eq=False)
class SelectedData:
    """The part of a person's data that a study needs: few features, and the own decoders."""

    labels: Labels
    features: dict[int, Float32]
    """(n, f) selected features of each layer; 0 where the person has none."""
    present: dict[int, Bool]
    """(f,) whether the person has each feature."""
    own: dict[int, dict[int, Float64]]
    """Logits of the tested volumes of each layer, by number of own blocks."""
    per_slice: dict[int, int]
    """Number of features of one slice of each layer; 0 for voxels."""


class WorkFolder:
    """The folder of intermediate files; each is written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def load_moments(self, key: str) -> dict[int, Moments] | None:
        """Return a person's moments by layer, or None if they were not computed yet."""
        arrays = self._load(f"{key}-moments")
        if arrays is None:
            return None
        layers = sorted({int(name.split("/")[0]) for name in arrays})
        return {
            layer: Moments(*(arrays[f"{layer}/{name}"] for name in ("people", "means", "variance")))
            for layer in layers
        }

    def save_moments(self, key: str, moments: dict[int, Moments]) -> None:
        """Write a person's moments."""
        arrays = {
            f"{layer}/{name}": value
            for layer, each in moments.items()
            for name, value in asdict(each).items()
        }
        self._save(f"{key}-moments", arrays)

    def load_selected(self, key: str) -> SelectedData | None:
        """Return a person's selected data, or None if they were not computed yet."""
        arrays = self._load(f"{key}-selected")
        if arrays is None:
            return None
        about = msgspec.json.decode(arrays.pop("about").tobytes(), type=_About)
        labels = Labels(
            classes=about.classes,
            blocks=about.blocks,
            lag_s=about.lag_s,
            **{name: arrays.pop(name) for name in _LABELS},
        )
        features, present = {}, {}
        own: dict[int, dict[int, Float64]] = {}
        for name, value in arrays.items():
            kind, layer, *count = name.split("/")
            if kind == "features":
                features[int(layer)] = value
            elif kind == "present":
                present[int(layer)] = value
            else:
                own.setdefault(int(layer), {})[int(count[0])] = value
        return SelectedData(labels, features, present, own, about.per_slice)

    def save_selected(self, key: str, data: SelectedData) -> None:
        """Write a person's selected data."""
        labels = data.labels
        about = _About(labels.classes, labels.blocks, labels.lag_s, data.per_slice)
        arrays = {name: getattr(labels, name) for name in _LABELS}
        arrays["about"] = np.frombuffer(msgspec.json.encode(about), np.uint8)
        arrays |= {f"features/{layer}": value for layer, value in data.features.items()}
        arrays |= {f"present/{layer}": value for layer, value in data.present.items()}
        for layer, by_count in data.own.items():
            arrays |= {f"own/{layer}/{count}": value for count, value in by_count.items()}
        self._save(f"{key}-selected", arrays)

    def _load(self, name: str) -> dict[str, np.ndarray] | None:
        path = self.path / f"{name}.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}

    def _save(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        partial = self.path / f"{name}.{os.getpid()}.partial.npz"
        np.savez(partial, allow_pickle=False, **arrays)
        partial.replace(self.path / f"{name}.npz")


_LABELS = ("label", "block", "rest", "run", "acquired_s")


@dataclass(frozen=True, slots=True)
class _About:
    classes: tuple[str, ...]
    blocks: tuple[Block, ...]
    lag_s: float
    per_slice: dict[int, int]
