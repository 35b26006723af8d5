import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from calibration.simulation import (
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    make_participant,
    simulate_run,
)
from rtdecode.errors import ConfigError


def test_volumes_are_a_scanners(short_run):
    """Volumes are numbered, timed, and hold whole numbers that fit twelve bits."""
    volumes = list(short_run.volumes())
    assert [v.index for v in volumes] == list(range(len(short_run))) == list(range(12))
    assert [v.acquired_s for v in volumes] == [float(i) for i in range(12)]
    assert {v.identity.acquisition for v in volumes} == set(range(1, 13))
    assert len({v.identity.series for v in volumes}) == 1
    for volume in volumes:
        assert volume.data.shape == (64, 64, 36)
        assert volume.data.dtype == np.float32
        assert np.array_equal(volume.data, np.rint(volume.data))
        assert 0 <= volume.data.min() < volume.data.max() <= 4095
        assert np.array_equal(volume.affine, short_run.affine)


def test_same_seed_same_run(participant, short_run):
    """A run repeats itself exactly; another seed gives other noise, order and identity."""
    first = next(short_run.volumes())
    again = simulate_run(participant, short_run.design, 3)
    other = simulate_run(participant, short_run.design, 4)
    assert again.series_uid == short_run.series_uid != other.series_uid
    assert again.study_uid == other.study_uid
    assert np.array_equal(next(again.volumes()).data, first.data)
    assert not np.array_equal(next(other.volumes()).data, first.data)
    assert again.truth == short_run.truth
    with pytest.raises(ConfigError, match="must be 0 or more"):
        simulate_run(participant, short_run.design, -1)


def test_truth_matches_events(participant):
    """The truth names each block's state while it lasts, and rest elsewhere."""
    run = simulate_run(participant, RunDesign(), 1)
    assert len(run) == len(run.truth) == len(run.motion) == 344
    assert run.truth[:24] == ("",) * 24
    for event in run.events:
        start = int(event.onset_s)
        assert set(run.truth[start : start + 12]) == {event.trial_type}
        assert set(run.truth[start + 12 : start + 20]) == {""}


def test_temporal_snr_is_that_of_an_epi(participant):
    """The median voxel of the brain has a temporal SNR between 55 and 95 over 80 seconds."""
    run = simulate_run(participant, RunDesign(1, 4.0, 4.0, 48.0), 1)
    data = np.array([volume.data for volume in run.volumes()])
    mean, spread = data.mean(axis=0), data.std(axis=0)
    brain = mean > 400
    assert 0.15 < brain.mean() < 0.35
    assert 55 < np.median(mean[brain] / spread[brain]) < 95


def test_activity_shows_in_the_right_place(template, silent, still):
    """Without noise and motion, the left hand brightens right motor cortex by a per cent or two."""
    settings = ParticipantSettings(noise=silent, motion=still)
    someone = make_participant(template, settings, 5)
    run = simulate_run(someone, RunDesign(1, 14.0, 20.0, 6.0), 1)
    data = np.array([volume.data for volume in run.volumes()])
    change = data / np.maximum(data[:5].mean(axis=0), 1.0) - 1.0
    indices = np.indices(data.shape[1:]).reshape(3, -1)
    mni = someone.to_mni(run.affine[:3, :3] @ indices + run.affine[:3, 3:])
    motor = np.linalg.norm(mni.T - [38.0, -24.0, 56.0], axis=1) < 8
    course = change.reshape(len(run), -1)[:, motor].mean(axis=1)
    best = run.responses[course.argmax()].argmax()
    assert someone.states[best] == "left_hand"
    assert 0.002 < course.max() < 0.04
    assert np.abs(course[:6]).max() < 1e-3


def test_motion_moves_the_image(template, silent, still):
    """A head that has moved 3 mm up lies 3 mm higher in the image."""
    settings = ParticipantSettings(
        noise=silent, motion=dataclasses.replace(still, breathing_mm=3.0, breathing_hz=0.25)
    )
    run = simulate_run(make_participant(template, settings, 1), RunDesign(1, 1.0, 0.0, 4.0), 1)
    volumes = [volume.data for volume in run.volumes()]
    heights = np.array([m.trans_z for m in run.motion])
    low, high = heights.argmin(), heights.argmax()
    voxels = (heights[high] - heights[low]) * np.linalg.inv(run.affine)[:3, 2]
    back = ndimage.shift(volumes[high], -voxels, order=1)
    core = (slice(10, -10), slice(10, -10), slice(6, -6))
    moved = np.abs(volumes[high] - volumes[low])[core].mean()
    assert np.abs(back - volumes[low])[core].mean() < 0.45 * moved


def test_any_matrix_and_repetition_time(participant):
    """A coarser, slower protocol gives the same head in fewer voxels, for cheap pretraining."""
    protocol = EpiProtocol((44, 48, 28), (4.6, 4.6, 4.6), repetition_time_s=2.0)
    run = simulate_run(participant, RunDesign(1, 6.0, 4.0, 4.0, protocol=protocol), 1)
    volumes = list(run.volumes())
    assert len(volumes) == 22
    assert volumes[3].acquired_s == 6.0
    assert volumes[0].repetition_time_s == 2.0
    litres = (volumes[0].data > 400).sum() * 4.6**3 / 1e6
    assert 1.0 < litres < 2.0


def test_no_torch():
    """Simulating needs no torch."""
    code = "import sys, calibration.simulation; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # our own interpreter
