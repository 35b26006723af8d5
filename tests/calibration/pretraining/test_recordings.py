"""Simulated runs on the network's grid."""

import numpy as np

from calibration.pretraining.grid import brain_mask, grid_affine
from calibration.pretraining.recordings import CHEAP, prepare
from calibration.simulation import (
    ActivationSettings,
    ParticipantSettings,
    RunDesign,
    load_template,
    make_participant,
    simulate_run,
)


def test_activity_lies_where_it_is_in_mni():
    """Moving the left hand brightens right motor cortex on the grid: no axis is turned."""
    population = ParticipantSettings(
        activation=ActivationSettings(bold_percent=6.0, sharing=1.0, focus_jitter_mm=0.0)
    )
    someone = make_participant(load_template(), population, 11)
    run = simulate_run(someone, RunDesign(2, protocol=CHEAP), 1)
    mask = brain_mask()
    recording = prepare(run, mask)
    assert recording.data.shape == (len(run), int(mask.sum()))
    labels = recording.labels
    means = {
        name: recording.data[labels.label == n].mean(axis=0)
        for n, name in enumerate(labels.classes)
    }
    difference = np.zeros(mask.shape)
    difference[mask] = means["left_hand"] - means["right_hand"]
    to_voxel = np.linalg.inv(grid_affine())
    for x_mm, sign in ((38.0, 1), (-38.0, -1)):
        place = tuple(np.rint((to_voxel @ [x_mm, -24.0, 56.0, 1.0])[:3]).astype(int))
        assert sign * difference[place] > 0.3
