"""Augmented volumes are what the same brain could have given."""

import numpy as np
import pytest

from calibration.decoders.augment import AugmentSettings, augment

SHAPE = (9, 8, 7)


@pytest.fixture
def mask() -> np.ndarray:
    """Return a box with a margin of two voxels."""
    mask = np.zeros(SHAPE, bool)
    mask[2:7, 2:6, 2:5] = True
    return mask


def _settings(**changes):
    still = {"shift_voxels": 0, "gain_sd": 0.0, "noise": 0.0, "jitter_volumes": 0}
    return AugmentSettings(**(still | changes))


def test_nothing_asked_for_changes_nothing(make_labels, mask, rng) -> None:
    """With every knob at zero volumes and labels are what they were."""
    labels = make_labels(["abab"])
    volumes = rng.standard_normal((len(labels.label), int(mask.sum()))).astype(np.float32)

    made, label = augment(volumes, labels, mask, _settings(), rng)

    np.testing.assert_array_equal(made, volumes)
    np.testing.assert_array_equal(label, labels.label)


def test_a_shift_moves_a_point_at_most_so_far_and_mirrors_nothing(make_labels, mask, rng) -> None:
    """One bright voxel turns up within two voxels, on its own side."""
    labels = make_labels(["abab"])
    volume = np.zeros(SHAPE, np.float32)
    volume[2, 4, 3] = 1
    volumes = np.tile(volume[mask], (len(labels.label), 1))

    made, _ = augment(volumes, labels, mask, _settings(shift_voxels=2), rng)

    places = np.argwhere(mask)[np.nonzero(made)[1]]
    moved = places - [2, 4, 3]
    assert np.abs(moved).max() == 2
    assert len(np.unique(moved, axis=0)) > 10
    assert places[:, 0].max() <= 4


def test_gain_scales_whole_volumes(make_labels, mask, rng) -> None:
    """Each volume by one factor."""
    labels = make_labels(["abab"])
    volumes = np.ones((len(labels.label), int(mask.sum())), np.float32)

    made, _ = augment(volumes, labels, mask, _settings(gain_sd=0.1), rng)

    assert (made.std(axis=1) < 1e-6).all()
    assert 0.05 < made[:, 0].std() < 0.2


def test_noise_is_as_correlated_in_time_as_the_residuals(make_labels, mask, rng) -> None:
    """It is the run's own, from other times, without what the classes explain."""
    labels = make_labels(["ab" * 10])
    n, voxels = len(labels.label), int(mask.sum())
    drift = np.zeros((n, voxels))
    for t in range(1, n):
        drift[t] = 0.9 * drift[t - 1] + rng.standard_normal(voxels)
    signal = 50.0 * (labels.label == 1)[:, None]
    volumes = (drift + signal).astype(np.float32)

    made, _ = augment(volumes, labels, mask, _settings(noise=0.5), rng)

    noise = made - volumes
    correlation = (noise[1:] * noise[:-1]).mean() / (noise**2).mean()
    assert 0.75 < correlation < 0.95
    assert noise.std() == pytest.approx(0.5 * drift.std(), rel=0.2)


def test_labels_jitter_by_one_volume_and_stay_in_their_run(make_labels, mask, rng) -> None:
    """The response may come a volume sooner or later; a run's end is no other run's start."""
    labels = make_labels(["abab", "baba"])
    volumes = np.zeros((len(labels.label), int(mask.sum())), np.float32)
    seen = set()
    for _ in range(30):
        _, label = augment(volumes, labels, mask, _settings(jitter_volumes=1), rng)
        for by in (-1, 0, 1):
            inside = slice(1, -1)
            if np.array_equal(label[inside], np.roll(labels.label, -by)[inside]):
                seen.add(by)
    assert seen == {-1, 0, 1}
