"""The filter is the forward algorithm of a hidden Markov chain, step by step."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from calibration.networks.filter import filter_step, switching_rate

events = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=12)


def _matrix(dwell_volumes: float, classes: int) -> np.ndarray:
    """Return the transition matrix of a chain that leaves its class at the rate 1 / dwell time."""
    rates = np.full((classes, classes), 1 / dwell_volumes / (classes - 1))
    np.fill_diagonal(rates, -1 / dwell_volumes)
    return expm(rates)


def _play(likelihoods, steps, dwell_volumes) -> np.ndarray:
    """Return the posterior after each step."""
    classes = likelihoods.shape[1]
    belief, found = torch.zeros(classes), []
    for row, (elapsed, usable) in zip(likelihoods, steps, strict=True):
        probabilities, belief = filter_step(
            belief,
            torch.log(torch.from_numpy(row).float()),
            torch.tensor(float(usable)),
            torch.tensor(elapsed),
            torch.tensor(switching_rate(dwell_volumes, classes)),
        )
        found.append(probabilities.numpy())
    return np.array(found)


@given(
    steps=events,
    dwell_volumes=st.floats(0.5, 60.0),
    classes=st.integers(2, 6),
    sharpness=st.floats(0.1, 10.0),
    seed=st.integers(0, 99),
)
def test_the_posterior_is_the_forward_algorithms(steps, dwell_volumes, classes, sharpness, seed):
    """Powers of the transition matrix over gaps, likelihoods multiplied, normalised: the same."""
    rng = np.random.default_rng(seed)
    likelihoods = np.exp(sharpness * rng.standard_normal((len(steps), classes)))
    likelihoods /= likelihoods.sum(axis=1, keepdims=True)
    matrix = _matrix(dwell_volumes, classes)
    posterior, expected = np.full(classes, 1 / classes), []
    for row, (elapsed, usable) in zip(likelihoods, steps, strict=True):
        posterior = posterior @ np.linalg.matrix_power(matrix, elapsed)
        posterior = posterior * row if usable else posterior
        posterior /= posterior.sum()
        expected.append(posterior)

    found = _play(likelihoods, steps, dwell_volumes)

    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_chain_stays_as_long_as_it_is_said_to():
    """Its mean stay, summed over small steps, is the dwell time."""
    stays = np.diag(_matrix(8.0, 4))[0]
    assert 1 / 4 + 3 / 4 * np.exp(-switching_rate(8.0, 4)) == pytest.approx(stays)
    leaves = 1 - np.diag(_matrix(8000.0, 4))[0]
    assert 1 / leaves / 1000 == pytest.approx(8.0, rel=1e-3)


def test_without_evidence_it_forgets():
    """Time alone makes all classes equally probable, however sure it was and however long."""
    one = np.array([[0.999, 0.0005, 0.0005], [0.1, 0.1, 0.8]])
    (sure, faded), *_ = [_play(one, [(1, True), (gap, False)], 5.0) for gap in (4,)]
    assert sure[0] > 0.99
    assert 1 / 3 < faded[0] < 0.7
    for gap in (200, 2**62):
        np.testing.assert_allclose(_play(one, [(1, True), (gap, False)], 5.0)[1], 1 / 3, atol=1e-6)


def test_impossible_evidence_leaves_finite_numbers():
    """Log-probabilities of minus a million, against all that was believed, do not overflow."""
    belief = torch.zeros(2)
    rate = torch.tensor(switching_rate(1e30, 2))
    for newest in ([0.0, -1e6], [-1e6, 0.0], [0.0, -1e6]):
        probabilities, belief = filter_step(
            belief, torch.tensor(newest), torch.tensor(1.0), torch.tensor(1), rate
        )
        assert belief.isfinite().all()
        assert float(probabilities.sum()) == pytest.approx(1)
    assert probabilities[0] == 1


def test_unusable_volume_cannot_poison_the_posterior():
    """A volume that does not count only moves time on, even if it was not a number."""
    belief, rate = torch.log(torch.tensor([0.7, 0.2, 0.1])), torch.tensor(switching_rate(5.0, 3))
    found = [
        filter_step(belief, torch.full((3,), value), torch.tensor(0.0), torch.tensor(2), rate)
        for value in (torch.nan, 0.0)
    ]
    for bad, good in zip(*found, strict=True):
        np.testing.assert_array_equal(bad, good)
        assert bad.isfinite().all()
