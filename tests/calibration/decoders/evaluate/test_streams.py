"""The read-out that is scored is the read-out that is served."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from calibration.data.labels import Labels
from calibration.decoders.evaluate import filtered, windows
from calibration.decoders.head import log_softmax
from calibration.networks import filter as graph
from calibration.networks.window import average, decide, slide

# Most volumes follow each other, so that the median step is the repetition time.
steps = st.lists(st.tuples(st.sampled_from([1, 1, 1, 1, 2, 7]), st.booleans()), min_size=3).filter(
    lambda pairs: np.median([elapsed for elapsed, _ in pairs[1:]]) == 1
)


def _unlabelled(run, acquired_s) -> Labels:
    n = len(run)
    return Labels(
        classes=("a", "b", "c"),
        label=np.full(n, -1),
        block=np.full(n, -1),
        rest=np.ones(n, dtype=bool),
        run=np.asarray(run),
        acquired_s=np.asarray(acquired_s, dtype=float),
        blocks=(),
        lag_s=5.0,
    )


@given(steps=steps, window_volumes=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_decision_window_is_the_graphs(steps, window_volumes, seed):
    """Volume by volume, gaps and unusable volumes included, both give the same."""
    elapsed, usable = (np.array(column) for column in zip(*steps, strict=True))
    evidence = log_softmax(np.random.default_rng(seed).standard_normal((len(elapsed), 3)))
    evidence[~usable] = np.nan
    labels = _unlabelled(np.zeros(len(elapsed), int), 0.72 * np.cumsum(elapsed))

    found = windows(evidence, labels, usable, window_volumes)

    slots, weight = torch.zeros(window_volumes, 3), torch.zeros(window_volumes)
    for row, newest in enumerate(torch.from_numpy(evidence).float()):
        counts, passed = torch.tensor(float(usable[row])), torch.tensor(int(elapsed[row]))
        slots, weight = slide(slots, weight, newest, counts, passed)
        expected = decide(average(slots, weight), weight.sum()).numpy()
        assert np.exp(found[row]) == pytest.approx(expected, abs=1e-5)


@given(steps=steps, dwell_volumes=st.floats(1.0, 40.0), seed=st.integers(0, 99))
def test_the_filter_is_the_graphs(steps, dwell_volumes, seed):
    """Volume by volume, gaps and unusable volumes included, both give the same posterior."""
    elapsed, usable = (np.array(column) for column in zip(*steps, strict=True))
    evidence = log_softmax(3 * np.random.default_rng(seed).standard_normal((len(elapsed), 3)))
    evidence[~usable] = np.nan
    labels = _unlabelled(np.zeros(len(elapsed), int), 0.72 * np.cumsum(elapsed))

    found = filtered(evidence, labels, usable, dwell_volumes)

    belief, rate = torch.zeros(3), torch.tensor(graph.switching_rate(dwell_volumes, 3))
    for row, newest in enumerate(torch.from_numpy(evidence).float()):
        counts, passed = torch.tensor(float(usable[row])), torch.tensor(int(elapsed[row]))
        expected, belief = graph.filter_step(belief, newest, counts, passed, rate)
        assert np.exp(found[row]) == pytest.approx(expected.numpy(), abs=1e-5)
        assert found[row] == pytest.approx(belief.numpy(), abs=1e-3)


def test_many_temperatures_are_filtered_at_once(rng):
    """A stack of evidence gives what each alone does."""
    labels = _unlabelled([0, 0, 0, 1, 1], [0, 2, 8, 0, 2])
    usable = np.array([True, False, True, True, True])
    evidence = rng.standard_normal((4, 5, 3))

    found = filtered(evidence, labels, usable, 3.0)

    expected = [filtered(one, labels, usable, 3.0) for one in evidence]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_filter_does_not_remember_the_run_before():
    """It begins every run with all classes alike, so that its first volume speaks alone."""
    labels = _unlabelled([0, 0, 1, 1], [0, 2, 0, 2])
    evidence = np.log([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    usable = np.array([True, True, True, False])

    found = np.exp(filtered(evidence, labels, usable, 4.0))

    np.testing.assert_allclose(found[[0, 2]], np.exp(evidence[[0, 2]]))
    assert found[1, 0] > 0.9
    assert 1 / 3 < found[3, 1] < 0.7


def test_a_run_does_not_remember_the_run_before():
    """Windows start empty in every run."""
    labels = _unlabelled([0, 0, 1, 1], [0, 2, 0, 2])
    evidence = np.log([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    usable = np.array([True, True, True, False])

    found = np.exp(windows(evidence, labels, usable, 4)[:, 0])

    assert found == pytest.approx([0.8, 0.8, 0.2, 0.2])
