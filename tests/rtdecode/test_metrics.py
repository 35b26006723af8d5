"""The one line that an operator acts on."""

import pytest
from scipy.stats import binomtest

from rtdecode.metrics import Accuracy, verdict


@pytest.fixture
def figures(make_metrics):
    """Return a function that makes the figures of so many right blocks."""

    def make(right, n_blocks, n_classes, p_value):
        share = right / n_blocks
        found = binomtest(right, n_blocks).proportion_ci(method="wilson")
        interval = float(found.low), float(found.high)
        accuracy = Accuracy(share, share, share, interval, interval, interval)
        return make_metrics(
            n_blocks=n_blocks, chance=1 / n_classes, accuracy=accuracy, p_value=p_value
        )

    return make


def test_go(figures):
    """Above chance by both tests."""
    found = verdict(figures(17, 20, 2, 0.004), ("people", "places"))

    assert found.go
    assert found.sentence == (
        "people vs places: 85% of 20 blocks (95 % 64% to 95%), chance 50%, p = 0.004: go"
    )


def test_many_classes_are_listed(figures):
    """Six names, separated by commas."""
    found = verdict(figures(12, 12, 6, 0.001), tuple("abcdef"))

    assert found.go
    assert found.sentence.startswith("a, b, c, d, e, f: 100% of 12 blocks")


@pytest.mark.parametrize(
    ("right", "p_value", "advice"),
    [
        (6, 0.14, "scan another run"),
        (4, 0.6, "nothing above chance: check events, motion and overlay"),
        (8, 0.06, "scan another run"),
        (8, None, "give more --minutes"),
    ],
)
def test_no_go_says_what_to_do(figures, right, p_value, advice):
    """Neither an interval nor a p-value alone is enough."""
    found = verdict(figures(right, 8, 2, p_value), ("a", "b"))

    assert not found.go
    assert "no-go" in found.sentence
    assert advice in found.sentence
