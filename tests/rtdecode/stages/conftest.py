"""A head given by a formula, so that it can be sampled anywhere without interpolation."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rtdecode.stages import PreparationSettings, Space, dilate
from rtdecode.types import Identity, Motion, Volume

Array = NDArray[np.float64]


def _coordinates_mm(shape: tuple[int, ...], affine: Array) -> Array:
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def _affine(voxel_mm: tuple[float, ...], shape: tuple[int, ...]) -> Array:
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = -(np.array(voxel_mm) * (np.array(shape) - 1)) / 2
    return affine


@pytest.fixture(scope="session")
def head() -> Callable[[Array], Array]:
    """Return the intensity of a head at scanner millimetres (..., 3)."""
    rng = np.random.default_rng(4)
    centres = rng.uniform([-60, -75, -55], [60, 75, 55], (60, 3))
    widths = rng.uniform(6, 15, 60)
    heights = rng.uniform(-0.5, 0.7, 60)

    def intensity(mm: Array) -> Array:
        radius = np.sqrt(((mm / [68, 84, 64]) ** 2).sum(axis=-1))
        tissue = np.ones(mm.shape[:-1])
        for centre, width, height in zip(centres, widths, heights, strict=True):
            tissue += height * np.exp(-((mm - centre) ** 2).sum(axis=-1) / (2 * width**2))
        return 600 * np.maximum(tissue, 0.05) / (1 + np.exp((radius - 1) * 25))

    return intensity


@pytest.fixture(scope="session")
def scan(head: Callable[[Array], Array]) -> Callable[..., Volume]:
    """Return a function that scans the head after `motion` (4, 4), with noise."""

    def acquire(
        index: int = 0,
        motion: Array | None = None,
        shape: tuple[int, ...] = (44, 52, 34),
        voxel_mm: tuple[float, ...] = (4.0, 4.0, 4.5),
        affine: Array | None = None,
        noise: float = 6.0,
    ) -> Volume:
        affine = _affine(voxel_mm, shape) if affine is None else affine
        mm = _coordinates_mm(shape, affine)
        if motion is not None:
            back = np.linalg.inv(motion)
            mm = mm @ back[:3, :3].T + back[:3, 3]
        rng = np.random.default_rng(index + 1000)
        data = head(mm) + noise * rng.standard_normal(shape)
        return Volume(
            index, data.astype(np.float32), affine, index * 2.0, 2.0, Identity("s", 1, index + 1)
        )

    return acquire


@pytest.fixture(scope="session")
def head_mm() -> Array:
    """Return points in the whole head, (n, 3) mm."""
    points = np.random.default_rng(5).uniform(-1, 1, (2000, 3))
    return points[(points**2).sum(axis=1) < 1] * [68, 84, 64]


@pytest.fixture(scope="session")
def space(scan: Callable[..., Volume]) -> Space:
    """Return the space of a decoder with a grid of 6 mm within the head."""
    shape, voxel_mm = (22, 26, 20), (-6.0, 6.0, 6.0)
    grid_affine = _affine(voxel_mm, shape)
    mm = _coordinates_mm(shape, grid_affine)
    mask = ((mm / [55, 70, 52]) ** 2).sum(axis=-1) < 1
    reference = scan(index=-1, noise=2.0)
    return Space(
        reference=reference.data,
        reference_affine=reference.affine,
        mask=mask,
        grid_affine=grid_affine,
        coordinates_mm=mm[dilate(mask)].astype(np.float32),
    )


@pytest.fixture
def settings() -> PreparationSettings:
    """Return settings for a repetition time of 2 s."""
    return PreparationSettings(repetition_time_s=2.0)


@pytest.fixture(scope="session")
def random_motion() -> Callable[..., Motion]:
    """Return a function that draws motions with log-uniform sizes between two bounds, mm or deg."""

    def make(seed: int, low: float = 0.05, high: float = 3.0) -> Motion:
        rng = np.random.default_rng(seed)
        size = np.exp(rng.uniform(np.log(low), np.log(high), 6)) * rng.choice([-1, 1], 6)
        return Motion(*size[:3], *np.deg2rad(size[3:]))

    return make
