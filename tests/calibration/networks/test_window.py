import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from calibration.networks.window import average, decide, leak, slide

LENGTH, CLASSES = 4, 3


def _play(events: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    evidence, weight = torch.zeros(LENGTH, CLASSES), torch.zeros(LENGTH)
    for number, (elapsed, usable) in enumerate(events, start=1):
        evidence, weight = slide(
            evidence,
            weight,
            torch.full((CLASSES,), -float(number)),
            torch.tensor(float(usable)),
            torch.tensor(elapsed),
        )
    return evidence.numpy(), weight.numpy()


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=12))
def test_window_holds_the_last_volumes_of_the_run(events) -> None:
    """Each slot holds the volume of that time, or weight 0 where there was none to count."""
    expected = np.zeros((LENGTH, CLASSES)), np.zeros(LENGTH)
    now = sum(elapsed for elapsed, _ in events)
    time = 0
    for number, (elapsed, usable) in enumerate(events, start=1):
        time += elapsed
        slot = LENGTH - 1 - (now - time)
        if slot >= 0 and usable:
            expected[0][slot] = -number
            expected[1][slot] = 1
    evidence, weight = _play(events)
    np.testing.assert_array_equal(evidence, expected[0])
    np.testing.assert_array_equal(weight, expected[1])


def test_long_gap_clears_the_window() -> None:
    """After a gap of the window's length nothing old is left, however long the gap."""
    for gap in (LENGTH, LENGTH + 1, 2**62):
        _, weight = _play([(1, True), (1, True), (gap, True)])
        np.testing.assert_array_equal(weight, [0, 0, 0, 1])


def test_unusable_volume_cannot_poison_the_window() -> None:
    """A volume that does not count leaves finite numbers behind, even if it was not a number."""
    evidence, weight = slide(
        torch.zeros(LENGTH, CLASSES),
        torch.zeros(LENGTH),
        torch.full((CLASSES,), torch.nan),
        torch.tensor(0.0),
        torch.tensor(1),
    )
    assert evidence.isfinite().all()
    np.testing.assert_allclose(decide(average(evidence, weight), weight.sum()), 1 / CLASSES)


def test_decision_multiplies_probabilities() -> None:
    """The decision is the normalised geometric mean of the usable volumes' probabilities."""
    rows = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.5, 0.25, 0.25]])
    weight = torch.tensor([1.0, 1.0, 0.0, 1.0])
    expected = rows[weight > 0].prod(0) ** (1 / 3)
    found = decide(average(rows.log(), weight), weight.sum())
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


def test_no_evidence_is_uniform() -> None:
    """An empty window does not favour a class."""
    np.testing.assert_allclose(decide(torch.zeros(CLASSES), torch.zeros(())), 1 / 3)


def test_unusable_volume_cannot_poison_the_leaky_sum() -> None:
    """What does not count leaves the sum as it was, but for its fading."""
    total, weight = leak(
        torch.ones(CLASSES),
        torch.tensor(2.0),
        torch.full((CLASSES,), torch.nan),
        torch.tensor(0.0),
        torch.tensor(0.5),
    )
    np.testing.assert_allclose(total, 0.5)
    assert weight == 1.0
