import dataclasses

import numpy as np
import pytest

from calibration.simulation.epi_protocol import DYNAMICS_GRID
from calibration.simulation.noise import NoiseSettings, physiological_noise

TIMES_S = np.arange(120.0)


def _noise(settings, participant, rng, times_s=TIMES_S):
    average = dataclasses.replace(participant.noise, level=1.0)
    return np.array(list(physiological_noise(settings, average, times_s, rng)))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("smooth_percent", 0.9, 1.1),
        ("network_percent", 1.5, 4.0),
        ("global_percent", 0.7, 1.3),
        ("drift_percent", 0.5, 1.8),
        ("breathing_percent", 0.4, 1.1),
    ],
)
def test_each_component_has_its_size(participant, rng, silent, name, low, high):
    """One per cent of a component makes about one per cent in grey matter (networks add up)."""
    noise = _noise(dataclasses.replace(silent, **{name: 1.0}), participant, rng)
    grey = np.abs(participant.noise.weight - 1.0) < 0.05
    grey &= participant.noise.fluid < 0.05
    assert low < 100 * np.sqrt(np.mean(noise[:, grey] ** 2)) < high


def test_heart_beats_in_fluid(participant, rng, silent):
    """Pulsation is several times stronger in fluid than elsewhere."""
    noise = _noise(dataclasses.replace(silent, cardiac_percent=1.0), participant, rng).std(0)
    fluid = participant.noise.fluid
    assert noise[fluid > 0.8].mean() > 4 * noise[fluid < 0.05].mean()


def test_smooth_noise_remembers_and_is_smooth(participant, rng, silent):
    """It correlates from second to second and between neighbours as asked, whatever the TR."""
    settings = dataclasses.replace(silent, smooth_percent=1.0)
    mask = participant.noise.mask
    box = np.zeros((len(TIMES_S), *mask.shape), dtype=np.float32)
    box[:, mask] = _noise(settings, participant, rng) / participant.noise.weight
    both = mask[1:] & mask[:-1]
    now, then = box[1:, mask].ravel(), box[:-1, mask].ravel()
    assert np.corrcoef(now, then)[0, 1] == pytest.approx(0.35, abs=0.02)
    neighbour = np.corrcoef(box[:, 1:][:, both].ravel(), box[:, :-1][:, both].ravel())[0, 1]
    expected = np.exp(-2 * np.log(2) * (DYNAMICS_GRID.spacing_mm / 8.0) ** 2)
    assert neighbour == pytest.approx(expected, abs=0.06)
    slower = _noise(settings, participant, rng, TIMES_S * 2)
    ratio = np.mean(slower[1:] * slower[:-1]) / np.mean(slower**2)
    assert ratio == pytest.approx(0.35**2, abs=0.03)


def test_some_people_are_noisier(participant):
    """A person's level scales everything that fluctuates, and people differ in it."""
    noisy = dataclasses.replace(participant.noise, level=2.0)
    calm = dataclasses.replace(participant.noise, level=1.0)
    settings = NoiseSettings()
    twice, once = (
        np.array(list(physiological_noise(settings, maps, TIMES_S[:4], np.random.default_rng(3))))
        for maps in (noisy, calm)
    )
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4, atol=1e-9)
    assert participant.noise.level != 1.0


def test_no_noise_at_all(participant, rng, silent):
    """With every component at zero nothing fluctuates."""
    assert not np.any(_noise(silent, participant, rng, TIMES_S[:3]))
