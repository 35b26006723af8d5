"""How the network learns."""

import dataclasses

import numpy as np
import pytest
import torch

from calibration.networks.features import network_features
from calibration.pretraining.grid import brain_mask
from calibration.pretraining.learn import LearningSettings, learn
from calibration.pretraining.training_cohort import CohortExamples
from rtdecode.errors import RunError


def test_learning_is_reproducible_and_learns(examples):
    """The same seed gives the same weights, the loss falls, lessons get harder."""
    settings = LearningSettings(steps=60, batch=8, average_volumes=3, rate=3e-3)
    lessons = []
    network = learn(examples, settings, lessons.append)
    again = learn(examples, settings)
    for one, same in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, same)
    assert [lesson.step for lesson in lessons] == list(range(1, 61))
    assert np.mean([lesson.loss for lesson in lessons[:5]]) > 0.6
    assert np.mean([lesson.accuracy for lesson in lessons[-10:]]) > 0.9
    assert lessons[0].mixed == 8
    assert lessons[-1].mixed == 1
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    recurrent = network_features(network, examples.volumes.astype(np.float32), examples.mask, (0,))
    with torch.no_grad():
        decided = network.head(torch.from_numpy(recurrent[0])).argmax(dim=1).numpy()
    assert (decided == examples.state).mean() > 0.8


def test_half_the_bits_on_the_real_grid(rng):
    """bfloat16 multiplies coarsely; the weights stay whole, and the first steps stay finite."""
    mask = brain_mask()
    state = np.repeat([0, 1], 4)
    examples = CohortExamples(
        rng.standard_normal((8, int(mask.sum()))).astype(np.float16),
        state,
        np.zeros(8, np.int64),
        state,
        ("one", "two"),
        mask,
    )
    lessons = []
    network = learn(examples, LearningSettings(steps=2, batch=2, bfloat16=True), lessons.append)
    assert next(network.parameters()).dtype is torch.float32
    assert np.all(np.isfinite([lesson.loss for lesson in lessons]))


def test_a_gradient_that_is_not_finite_is_refused(examples):
    """Weights that are no numbers are never returned."""
    volumes = examples.volumes.copy()
    volumes[:] = np.inf
    broken = dataclasses.replace(examples, volumes=volumes)
    with pytest.raises(RunError, match="lower rate"):
        learn(broken, LearningSettings(steps=1, batch=2))
