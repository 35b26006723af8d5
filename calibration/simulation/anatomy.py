"""The template head of all simulated participants: MNI152 with EPI contrast.

The tissue maps are part of the nilearn package (ICBM152 2009a, non-linear asymmetric;
Fonov et al. 2011), so nothing is downloaded. They show the brain only. Skull,
scalp and eyes are added, because realignment and brain masks must work in their presence.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from calibration.simulation.sampling import trilinear
from rtdecode.types import Float32, Float64

GREY, WHITE, CSF = 1.0, 0.86, 1.65
"""Signal of the tissues at 3 T and an echo time of about 30 ms, relative to grey matter."""
SCALP, MUSCLE, SKULL, EYE = 0.26, 0.24, 0.02, 1.35


@dataclass(frozen=True, eq=False)
class HeadTemplate:
    """The MNI152 head; arrays are (X, Y, Z) float32 on one 2 mm grid."""

    affine: Float64
    """Voxel to MNI millimetres, (4, 4)."""
    grey: Float32
    """Probability of grey matter."""
    white: Float32
    csf: Float32
    signal: Float32
    """EPI signal relative to grey matter, including susceptibility losses."""

    def sample(self, name: str, points_mm: Float64) -> Float32:
        """Interpolate the map called `name` linearly at MNI millimetres (3, n); 0 outside."""
        to_voxels = np.linalg.inv(self.affine)[:3].astype(np.float32)
        points = np.ascontiguousarray(points_mm, dtype=np.float32)
        sampled = np.empty(points.shape[1], dtype=np.float32)
        trilinear(np.ascontiguousarray(getattr(self, name)), to_voxels, points, sampled)
        return sampled


def load_template() -> HeadTemplate:
    """Build the template head from nilearn's packaged MNI152 maps (about a second, no download)."""
    from nilearn.datasets import (
        load_mni152_gm_template,
        load_mni152_template,
        load_mni152_wm_template,
    )

    image = load_mni152_template(resolution=1)
    # 2 mm blocks of the 1 mm maps, with a margin around the brain for skull, scalp and eyes.
    margin = ((22, 22), (20, 26), (22, 22))
    maps = [
        halve(np.pad(np.asarray(each.dataobj, dtype=np.float32), margin))
        for each in (
            load_mni152_gm_template(resolution=1),
            load_mni152_wm_template(resolution=1),
            image,
        )
    ]
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = image.affine[:3, 3] - [low for low, _ in margin] + 0.5
    grey, white, t1 = maps
    tissue = np.maximum(grey + white, 1.0)
    grey, white = grey / tissue, white / tissue
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(t1 > 0.04, iterations=2))
    csf = np.where(brain, np.clip(1.0 - grey - white, 0.0, 1.0), 0.0).astype(np.float32)
    return HeadTemplate(affine, grey, white, csf, _signal(affine, grey, white, csf, brain))


def halve(volume: Float32) -> Float32:
    """Average blocks of 2 x 2 x 2 voxels; an odd last voxel is left out."""
    even = volume[tuple(slice(size // 2 * 2) for size in volume.shape)]
    x, y, z = (size // 2 for size in even.shape)
    return even.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))


def _signal(
    affine: Float64, grey: Float32, white: Float32, csf: Float32, brain: np.ndarray
) -> Float32:
    """Return the EPI signal of all tissues, without the part that susceptibility destroys."""
    x, y, z = (
        affine[axis, 3] + 2.0 * index
        for axis, index in enumerate(np.ogrid[tuple(slice(size) for size in grey.shape)])
    )
    # Falx and superior sagittal sinus: dark blood and dura where a T1 map shows no brain.
    dural = 0.75 * np.exp(-((x / 2.5) ** 2)) * ((z > 20) | (y > 25) | ((y < -60) & (z > -5)))
    signal = GREY * grey + WHITE * white + CSF * csf * (1 - dural)
    outside = ndimage.distance_transform_edt(~brain, sampling=2.0)
    thickness = 6.5 + 1.5 * np.sin(y / 27.0) * np.cos(z / 35.0)
    signal = np.where(outside > 0, 0.55 * np.exp(-outside / 1.5), signal)
    scalp = (outside > thickness) & (outside < thickness + 5.5)
    signal += np.where(scalp, SCALP, np.where(outside > 0, SKULL, 0.0)) * (outside < 16)
    below = (z < -22) & (outside > 5) & (outside < 24) & (y > -95) & (y < 55)
    signal = np.where(below, MUSCLE + 0.08 * np.sin(x / 5.0) * np.cos(y / 6.0), signal)
    for side in (-32.0, 32.0):
        eye = (x - side) ** 2 + (y - 66.0) ** 2 + (z + 36.0) ** 2 < 12.0**2
        signal = np.where(eye & (outside > 3), EYE, signal)
    signal = np.where(signal > 0.005, signal * (1.0 - _dropout(x, y, z)), 0.0)
    return signal.astype(np.float32)


def _dropout(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the fraction of signal lost above the sphenoid sinus and the ear canals (0 to 1)."""
    loss = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape))
    for centre, radius, depth in (
        ((0.0, 36.0, -27.0), (20.0, 17.0, 11.0), 0.97),
        ((-54.0, -26.0, -36.0), (12.0, 15.0, 10.0), 0.85),
        ((54.0, -26.0, -36.0), (12.0, 15.0, 10.0), 0.85),
    ):
        distance = sum(
            ((axis - c) / r) ** 2 for axis, c, r in zip((x, y, z), centre, radius, strict=True)
        )
        loss = np.maximum(loss, depth * np.exp(-(np.asarray(distance) ** 1.5)))
    return loss
