"""The one line that an operator acts on."""

import pytest
from scipy.stats import binomtest

from rtdecode.metrics import Accuracy, p_in_words, verdict


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
    ],
)
def test_no_go_says_what_to_do(figures, right, p_value, advice):
    """Neither an interval nor a p-value alone is enough."""
    found = verdict(figures(right, 8, 2, p_value), ("a", "b"))

    assert not found.go
    assert "no-go" in found.sentence
    assert advice in found.sentence


def test_without_a_permutation_test_it_is_neither(figures):
    """Perfect blocks are no go, and no no-go either, before chance was tested."""
    found = verdict(figures(20, 20, 2, None), ("a", "b"))

    assert found.outcome == "not tested"
    assert not found.go
    assert "p =" not in found.sentence
    assert found.sentence.endswith(
        ": not tested against chance: calibrate again without --minutes and Ctrl-C"
    )


@pytest.mark.parametrize(
    ("p_value", "permutations", "words"),
    [
        (1 / 1001, 1000, "p <= 0.001"),
        (2 / 1001, 1000, "p = 0.002"),
        (2 / 70, 70, "p = 0.029"),
        (1 / 20, 19, "p <= 0.05"),
        (1.0, 24, "p = 1"),
    ],
)
def test_a_p_at_its_resolution_is_an_upper_limit(p_value, permutations, words):
    """Where no permutation did as well, p is no larger than one in so many."""
    assert p_in_words(p_value, permutations) == words
