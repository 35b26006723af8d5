"""The mean EPI of a run."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration.data.mean_epi import mean_epi
from rtdecode.types import Identity, Volume

SHAPE, VOXEL_MM = (28, 30, 20), (6.0, 6.0, 6.0)


def _volume(index: int, shift_mm: float = 0.0, noise: float = 8.0, gain: float = 1.0) -> Volume:
    """Return a lumpy head on an oblique grid, moved along the scanner's y."""
    turn = np.deg2rad(10)
    axes = np.array([[-1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    affine = np.eye(4)
    affine[:3, :3] = axes * VOXEL_MM
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    points = voxels @ affine[:3, :3].T + affine[:3, 3] - [0.0, shift_mm, 0.0]
    rng = np.random.default_rng(2)
    tissue = np.ones(SHAPE)
    for centre, height in zip(
        rng.uniform(-50, 50, (30, 3)), rng.uniform(-0.5, 0.7, 30), strict=True
    ):
        tissue += height * np.exp(-((points - centre) ** 2).sum(axis=-1) / (2 * 11.0**2))
    radius = np.sqrt(((points / [64, 74, 50]) ** 2).sum(axis=-1))
    data = gain * 600 * np.maximum(tissue, 0.1) / (1 + np.exp((radius - 1) * 15))
    data += noise * np.random.default_rng(100 + index).standard_normal(SHAPE)
    return Volume(
        index, data.astype(np.float32), affine, 2.0 * index, 2.0, Identity("0" * 12, 1, index + 1)
    )


def _inner(data: np.ndarray) -> np.ndarray:
    return data[5:-5, 5:-5, 5:-5]


def test_mean_of_a_still_head_is_the_head_without_the_noise() -> None:
    """Averaging keeps grid, place and intensities, and makes noise smaller."""
    volumes = [_volume(index) for index in range(12)]
    mean, affine = mean_epi(volumes)
    truth = _volume(0, noise=0.0)
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(affine, truth.affine)
    errors = [_inner(data - truth.data).std() for data in (volumes[0].data, mean)]
    assert errors[1] < errors[0] / 2
    assert abs(_inner(mean - truth.data).mean()) < 1.0


def test_moving_head_is_brought_back_to_the_first_volume_averaged() -> None:
    """A drift of the head does not blur the mean, nor move it from where it began."""
    volumes = [_volume(index, shift_mm=0.3 * index, noise=2.0) for index in range(12)]
    mean, _ = mean_epi(volumes)
    plain = np.mean([v.data for v in volumes], axis=0)
    truth = _volume(0, noise=0.0).data
    assert _inner(mean - truth).std() < _inner(plain - truth).std() / 3


def test_place_of_a_volume_counts_not_its_grid() -> None:
    """A volume on a shifted grid is averaged where it lies in the scanner."""
    volumes = [_volume(index, noise=2.0) for index in range(10)]
    moved = _volume(5, noise=2.0)
    affine = moved.affine.copy()
    affine[:3, 3] += affine[:3, 0]
    data = np.roll(moved.data, -1, axis=0)
    volumes[5] = Volume(5, data, affine, 10.0, 2.0, moved.identity)
    mean, _ = mean_epi(volumes)
    assert _inner(mean - _volume(0, noise=0.0).data).std() < 6.0


MEAN = """
import sys
import numpy as np
from calibration.data.mean_epi import mean_epi
from rtdecode.types import Identity, Volume
with np.load(sys.argv[1], allow_pickle=False) as run:
    volumes = [
        Volume(n, data, run["affine"], 2.0 * n, 2.0, Identity("0" * 12, 1, n + 1))
        for n, data in enumerate(run["data"])
    ]
np.save(sys.argv[2], mean_epi(volumes)[0])
"""


@pytest.mark.parametrize("cpu", ["Prescott", "Haswell"])
def test_every_cpu_averages_to_the_same_bits(cpu: str, tmp_path: Path) -> None:
    """Linear algebra of another CPU, whose last bits differ, gives the same mean."""
    volumes = [_volume(index, shift_mm=0.1 * index) for index in range(8)]
    run, answer = tmp_path / "run.npz", tmp_path / "mean.npy"
    data = np.stack([volume.data for volume in volumes])
    np.savez(run, allow_pickle=False, data=data, affine=volumes[0].affine)
    subprocess.run(
        [sys.executable, "-c", MEAN, str(run), str(answer)],
        env=os.environ | {"OPENBLAS_CORETYPE": cpu},
        check=True,
    )
    assert np.array_equal(np.load(answer), mean_epi(volumes)[0])
