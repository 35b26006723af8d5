"""People made from real HCP betas of the working-memory task.

Each beta (body, faces, places, tools) is painted into its parcel. Noise is added: real
resting-state fluctuations of the parcels and spatially smooth noise, together a multiple of the
signal's amplitude.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rtdecode.types import Bool, Float32, Float64

CLASSES = ("body", "faces", "places", "tools")
CONDITIONS = {c: (16 + n, 20 + n) for n, c in enumerate(CLASSES)}
"""Indices among the 24 conditions, in 0-back and in 2-back."""
SHAPE = (91, 109, 91)
BLOCK_VOLUMES, APART_VOLUMES = 38, 8
"""Length of an HCP block, and distance of its examples, in volumes of 0.72 s."""
SMOOTH_SIGNAL, SMOOTH_NOISE = 1.0, 1.5
"""Gaussian sigma in voxels of 2 mm."""


@dataclass(frozen=True, eq=False)
class HcpPeople:
    """The betas and background of all people."""

    activity: Float64
    """(360, 24, people)"""
    rest: Float64
    """(360, volumes) z-scored fluctuations of one person at rest."""
    parcel: NDArray[np.int64]
    """(91, 109, 91) number of the parcel, -1 outside."""
    mask: Bool
    noise: float
    """Amplitude of the noise relative to the signal's."""

    @classmethod
    def load(cls, betas: Path, parcels: Path, noise: float) -> Self:
        """Read betas (HCP_example_*.h5) and parcels (MNI_Glasser_HCP_v1.0.nii.gz)."""
        import h5py
        import nibabel as nib

        from calibration.weights import DEEPLIGHT_2D

        with h5py.File(betas / "HCP_example_taskactivations_data.h5") as file:
            activity = np.asarray(_largest(file))
        with h5py.File(next(betas.glob("HCP_example_restrun1_*.h5"))) as file:
            rest = np.asarray(_largest(file))
        axes = [activity.shape.index(n) for n in (360, 24, 30)]
        rest = rest if rest.shape[0] == 360 else rest.T
        image: Any = nib.load(parcels / "MNI_Glasser_HCP_v1.0.nii.gz")
        to_voxel = np.linalg.inv(image.affine) @ np.array(DEEPLIGHT_2D.affine)
        place = np.rint(to_voxel[:3, :3] @ np.indices(SHAPE).reshape(3, -1) + to_voxel[:3, 3:])
        label = np.asarray(image.dataobj)[tuple(place.astype(int))].astype(int).reshape(SHAPE)
        parcel = np.where(label > 1000, label - 1000 + 179, label - 1)
        return cls(
            activity=np.moveaxis(activity, axes, [0, 1, 2]),
            rest=(rest - rest.mean(axis=1, keepdims=True)) / rest.std(axis=1, keepdims=True),
            parcel=parcel,
            mask=gaussian_filter((parcel >= 0).astype(float), SMOOTH_SIGNAL) > 0.2,
            noise=noise,
        )

    @property
    def n_people(self) -> int:
        """Number of people."""
        return int(self.activity.shape[2])

    def examples(
        self,
        person: int,
        rng: np.random.Generator,
        n_blocks: int,
        n_volumes: int,
        *,
        second_half: bool,
    ) -> Iterator[tuple[Float32, int, int]]:
        """Yield masked volumes (V,) of one person with class and block.

        Parameters
        ----------
        person
            Number of the person.
        rng
            Source of order, background and noise.
        n_blocks
            Blocks of each class.
        n_volumes
            Volumes of each block.
        second_half
            Which half of the rest run is the background.
        """
        pattern = np.stack(
            [self.activity[:, list(CONDITIONS[c]), person].mean(axis=1) for c in CLASSES]
        )
        common = pattern.mean(axis=0)
        signals = [self.paint(each - common + common / 2) for each in pattern]
        amplitude = float(np.mean([signal[self.mask].std() for signal in signals]))
        order = np.concatenate([rng.permutation(len(CLASSES)) for _ in range(n_blocks)])
        half = self.rest.shape[1] // 2
        first = half if second_half else 0
        start = first + int(rng.integers(0, half))
        for block, c in enumerate(order):
            for v in range(n_volumes):
                t = start + block * BLOCK_VOLUMES + 8 + v * APART_VOLUMES
                background = self.paint(self.rest[:, first + (t - first) % half])
                white = gaussian_filter(rng.standard_normal(SHAPE), SMOOTH_NOISE)
                parts = (each / each[self.mask].std() for each in (background, white))
                volume = signals[c] + self.noise * amplitude * sum(parts) / np.sqrt(2)
                scaled = volume[self.mask] / (self.noise * amplitude)
                yield scaled.astype(np.float32), int(c), block

    def paint(self, values: Float64) -> Float64:
        """Return an image (91, 109, 91) of parcel values (360,), smoothed."""
        return gaussian_filter(np.append(values, 0.0)[self.parcel], SMOOTH_SIGNAL)

    def parcel_means(self, volumes: Float32) -> Float32:
        """Return the mean of each parcel, (n, parcels), of masked volumes (n, V)."""
        inside = self.parcel[self.mask]
        return np.stack(
            [volumes[:, inside == p].mean(axis=1) for p in range(360) if p in inside], 1
        )


def _largest(file: Any) -> Any:
    """Return the largest dataset of an HDF5 file."""
    datasets: list[Any] = []
    file.visititems(lambda _, item: datasets.append(item) if hasattr(item, "shape") else None)
    return max(datasets, key=lambda item: item.size)
