"""Rigid realignment of known motions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from rtdecode.errors import ConfigError, VolumeError
from rtdecode.stages import realign, reference
from rtdecode.stages.rigid import centre_mm, motion_matrix, rotation
from rtdecode.types import Motion, Volume

MEAN_MM, WORST_MM = 0.02, 0.1
"""Limits for the mean and the largest error over the head."""


def errors_mm(found: Motion, truth: np.ndarray, centre: np.ndarray, mm: np.ndarray) -> np.ndarray:
    """Return the position error of each point of the head."""
    wrong = motion_matrix(found, centre) - truth
    return np.linalg.norm(mm @ wrong[:3, :3].T + wrong[:3, 3], axis=1)


@pytest.fixture(scope="module")
def target(scan: Callable[..., Volume]) -> reference.Reference:
    """Return a reference with noise."""
    volume = scan(index=-1)
    return reference.build(volume.data, volume.affine)


def test_known_motions_are_recovered(
    scan: Callable[..., Volume],
    target: reference.Reference,
    random_motion: Callable[..., Motion],
    head_mm: np.ndarray,
) -> None:
    """Errors are within the limits for 0.05 to 3 mm and degrees, with noise and a gain."""
    means = []
    for seed in range(10):
        truth = motion_matrix(random_motion(seed), target.centre_mm)
        volume = scan(index=seed, motion=truth)
        state, found, correlation = realign.step(
            target, realign.initial_state(), volume.data * np.float32(1.3), volume.affine
        )
        error = errors_mm(found, truth, target.centre_mm, head_mm)
        means.append(error.mean())
        assert error.max() <= WORST_MM
        assert correlation > 0.99
        np.testing.assert_array_equal(state["motion"], found.as_array())
    assert np.mean(means) <= MEAN_MM


@pytest.mark.parametrize("seed", range(6))
def test_a_first_volume_far_from_the_reference_is_realigned(
    seed: int, scan: Callable[..., Volume], target: reference.Reference, head_mm: np.ndarray
) -> None:
    """A start 20 mm and 10 degrees away does not increase the error."""
    direction = np.random.default_rng(seed).standard_normal((2, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    motion = Motion(*(20 * direction[0]), *(np.deg2rad(10) * direction[1]))
    truth = motion_matrix(motion, target.centre_mm)
    volume = scan(index=seed, motion=truth)
    _, found, _ = realign.step(target, realign.initial_state(), volume.data, volume.affine)
    assert errors_mm(found, truth, target.centre_mm, head_mm).mean() <= 2 * MEAN_MM


def test_a_run_may_have_its_own_grid(
    scan: Callable[..., Volume],
    target: reference.Reference,
    random_motion: Callable[..., Motion],
    head_mm: np.ndarray,
) -> None:
    """Voxel size, matrix, flip and obliquity do not change the motion found."""
    truth = motion_matrix(random_motion(3), target.centre_mm)
    shape, voxel_mm = (64, 60, 36), np.array([-3.0, 3.2, 4.0])
    affine = np.eye(4)
    affine[:3, :3] = rotation(0.2, -0.1, 0.15) * voxel_mm
    affine[:3, 3] = [3, -4, 5] - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    volume = scan(index=1, motion=truth, shape=shape, affine=affine)
    _, found, _ = realign.step(target, realign.initial_state(), volume.data, volume.affine)
    assert errors_mm(found, truth, target.centre_mm, head_mm).max() <= WORST_MM


def test_a_field_of_view_may_cut_the_head(
    scan: Callable[..., Volume], random_motion: Callable[..., Motion]
) -> None:
    """Slices without the top and the base of the head do not bias the motion."""
    cut = scan(index=-1, shape=(44, 52, 22))
    target = reference.build(cut.data, cut.affine)
    inside = np.random.default_rng(0).uniform([-60, -75, -45], [60, 75, 45], (500, 3))
    means = []
    for seed in range(5):
        truth = motion_matrix(random_motion(seed, 1.0, 4.0), target.centre_mm)
        volume = scan(index=seed, motion=truth, shape=(44, 52, 22))
        _, found, _ = realign.step(target, realign.initial_state(), volume.data, volume.affine)
        error = errors_mm(found, truth, target.centre_mm, inside)
        means.append(error.mean())
        assert error.max() <= WORST_MM
    assert np.mean(means) <= MEAN_MM


def test_tracking_equals_searching(
    scan: Callable[..., Volume], target: reference.Reference, random_motion: Callable[..., Motion]
) -> None:
    """The start changes the number of iterations, not the motion found."""
    truth = motion_matrix(random_motion(1), target.centre_mm)
    volume = scan(index=2, motion=truth)
    cold = realign.initial_state()
    warm, _, _ = realign.step(target, cold, scan(index=1).data, volume.affine)
    found = [realign.step(target, s, volume.data, volume.affine)[1] for s in (cold, warm)]
    np.testing.assert_allclose(found[0].as_array(), found[1].as_array(), atol=2e-3)


def test_a_volume_without_the_head_is_lost(
    scan: Callable[..., Volume], target: reference.Reference, rng: np.random.Generator
) -> None:
    """Noise and zeros have a low correlation, and the last known motion remains."""
    volume = scan(index=1)
    state, motion, _ = realign.step(target, realign.initial_state(), volume.data, volume.affine)
    noise = rng.uniform(0, 600, volume.data.shape).astype(np.float32)
    for nothing in (noise, np.zeros_like(noise)):
        after, kept, correlation = realign.step(target, state, nothing, volume.affine)
        assert correlation < realign.LOST_CORRELATION
        assert after is state
        assert kept == motion


def test_a_volume_must_be_finite(scan: Callable[..., Volume], target: reference.Reference) -> None:
    """Intensities that are not finite are refused."""
    volume = scan()
    data = volume.data.copy()
    data[20:24, 20:24, 17] = np.nan
    with pytest.raises(VolumeError, match="finite"):
        realign.step(target, realign.initial_state(), data, volume.affine)


def test_a_reference_must_show_a_head() -> None:
    """An empty reference is refused before a run."""
    with pytest.raises(ConfigError, match="calibrate again"):
        reference.build(np.zeros((32, 32, 16), np.float32), np.diag([4.0, 4, 4, 1]))


def test_known_motions_of_a_real_epi_are_recovered(
    shared_data: Path, random_motion: Callable[..., Motion]
) -> None:
    """Errors are within the limits for a real head moved by 0.05 to 3 mm and degrees."""
    from rtdecode.dicom import assemble

    series = next(p for p in (shared_data / "rt-cloud").iterdir() if p.is_dir())
    volumes = assemble([series])
    affine = volumes[0].affine
    data = np.stack([v.data for v in volumes])
    mean, noise = data.mean(axis=0), float(np.median(data.std(axis=0)))
    rng = np.random.default_rng(8)
    centre = centre_mm(mean.shape, affine)
    head = np.argwhere(ndimage.gaussian_filter(mean, 1.5) > 0.3 * np.percentile(mean, 98))
    mm = head[::7] @ affine[:3, :3].T + affine[:3, 3]

    def noisy(image: np.ndarray) -> np.ndarray:
        return (image + noise * rng.standard_normal(image.shape)).astype(np.float32)

    target = reference.build(noisy(mean), affine)
    means = []
    for seed in range(8):
        truth = motion_matrix(random_motion(seed), centre)
        back = np.linalg.inv(affine) @ np.linalg.inv(truth) @ affine
        moved = ndimage.affine_transform(
            mean, back[:3, :3], back[:3, 3], order=5, mode="nearest", output=np.float64
        )
        _, found, _ = realign.step(target, realign.initial_state(), noisy(moved), affine)
        error = errors_mm(found, truth, centre, mm)
        means.append(error.mean())
        assert error.max() <= WORST_MM
    assert np.mean(means) <= MEAN_MM
