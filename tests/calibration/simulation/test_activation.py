import dataclasses

import numpy as np
import pytest

from calibration.simulation import (
    ActivationSettings,
    ParticipantSettings,
    default_states,
    make_participant,
)
from calibration.simulation.activation import draw_patterns, paint
from calibration.simulation.seeds import stream


@pytest.fixture(scope="module")
def brain(template):
    """Return MNI millimetres (3, n) and grey matter (n,) of a 4 mm brain."""
    axes = [np.arange(low, high, 4.0) for low, high in ((-72, 73), (-106, 75), (-60, 83))]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    grey = template.sample("grey", points)
    return points[:, grey > 0.2], grey[grey > 0.2]


def _draw(template, brain, settings, seed):
    points, grey = brain
    return draw_patterns(default_states(), settings, template, points, grey, stream("a", seed))


def test_hands_cross_over(brain):
    """The left hand lights the right motor cortex and the left cerebellum, and vice versa."""
    (x, _, z), grey = brain
    for state, side in zip(default_states()[:2], (1, -1), strict=True):
        activity = paint(state.foci, brain[0], grey)
        cortex = np.where(z > 40, activity, 0)
        assert x[cortex.argmax()] * side > 20
        assert x[np.where(z < -10, activity, 0).argmax()] * side < 0


def test_sharing_runs_from_strangers_to_clones(template, brain):
    """Patterns of two people correlate perfectly at 1, not at all at 0, and partly between."""
    alike = []
    for sharing in (0.0, 0.6, 1.0):
        settings = ActivationSettings(
            sharing=sharing, focus_jitter_mm=0.0, gain_spread=0.0, person_spread=0.0
        )
        one, two = (_draw(template, brain, settings, seed) for seed in (1, 2))
        alike.append(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(one, two, strict=True)]))
    assert abs(alike[0]) < 0.25
    assert 0.4 < alike[1] < 0.8
    assert alike[2] == pytest.approx(1.0)


def test_signal_change_is_the_one_asked_for(template, brain):
    """A clone's peak is near 1.8 % times the highest gain, give or take overlapping foci."""
    settings = ActivationSettings(
        sharing=1.0, focus_jitter_mm=0.0, gain_spread=0.0, person_spread=0.0
    )
    peak = _draw(template, brain, settings, 1).max()
    assert 0.015 < peak < 0.04


def test_no_activity_is_possible(template):
    """A null world, without any signal, can be made."""
    settings = dataclasses.replace(
        ParticipantSettings(), activation=ActivationSettings(bold_percent=0.0)
    )
    assert not make_participant(template, settings, 1).patterns.any()
