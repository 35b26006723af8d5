import dataclasses

import numpy as np
import pytest

from calibration.simulation import (
    ActivationSettings,
    EpiProtocol,
    NoiseSettings,
    ParticipantSettings,
    make_participant,
)
from calibration.simulation.epi_protocol import ANATOMY_GRID
from rtdecode.errors import ConfigError


def test_seed_makes_the_person(template, participant):
    """The same seed gives the same person, another seed somebody else."""
    again = make_participant(template, ParticipantSettings(), 1)
    other = make_participant(template, ParticipantSettings(), 2)
    for name in ("signal", "patterns", "pose", "coil"):
        assert np.array_equal(getattr(participant, name), getattr(again, name))
    assert not np.array_equal(participant.signal, other.signal)
    assert not np.array_equal(participant.pose, other.pose)


def test_brain_has_a_human_size(participant):
    """The brain's volume is that of an adult, and the whole head fits the grid."""
    litres = participant.noise.mask.sum() * 4.0**3 / 1e6
    assert 1.2 < litres < 2.0
    edges = [participant.signal[0], participant.signal[-1], participant.signal[:, -1]]
    assert max(edge.max() for edge in edges) < 0.05
    assert participant.signal.shape == ANATOMY_GRID.shape


def test_slab_reaches_the_top_of_the_brain(template):
    """The slices of any participant hold the vertex and cut no more than the lowest cerebellum."""
    protocol = EpiProtocol()
    for seed in (2, 3):
        someone = make_participant(template, ParticipantSettings(), seed)
        affine = someone.epi_affine(protocol)
        corners = np.array([[0, 0, 32, 32], [20, 40, 32, 32], [0, 0, 0, 35], [1, 1, 1, 1]])
        mni = someone.to_mni((affine @ corners)[:3])
        assert 78 < mni[2, 3] < 95
        assert mni[2, 2] < -38


def test_impossible_populations_are_refused(template):
    """Every wrong setting is named; so is a negative seed."""
    with pytest.raises(ConfigError) as refused:
        ParticipantSettings(
            states=(),
            activation=ActivationSettings(sharing=1.5),
            noise=NoiseSettings(thermal_snr=0.0),
        )
    assert len(refused.value.problems) == 3
    twice = ParticipantSettings().states[:1] * 2
    with pytest.raises(ConfigError, match="distinct"):
        dataclasses.replace(ParticipantSettings(), states=twice)
    with pytest.raises(ConfigError, match="must be 0 or more"):
        make_participant(template, ParticipantSettings(), -1)
