"""The haemodynamic lag is found by task against rest, whatever the classes are."""

import numpy as np
import pytest

from calibration.decoders.lag import DEFAULT_LAG_S, block_contrasts, choose_lag, held_out_rates
from rtdecode.errors import ConfigError


@pytest.mark.parametrize("score", [block_contrasts, held_out_rates])
@pytest.mark.parametrize("true_lag_s", [3.0, 5.0, 7.0])
def test_the_lag_of_the_response_is_chosen(make_labels, rng, true_lag_s, score):
    """A response that is early or late moves the choice its way."""

    def labels_at(lag_s):
        return make_labels(["aaaaaaaa"], pause_s=16.0, rest=True, lag_s=lag_s)

    truth = labels_at(true_lag_s)
    x = rng.standard_normal((len(truth.label), 6)).astype(np.float32)
    x[truth.label == 0] += 1.5

    lag_s, reason = choose_lag(x, labels_at, score)

    assert abs(lag_s - true_lag_s) <= 1
    assert ("separates task and rest best" in reason) == (lag_s != DEFAULT_LAG_S)


def test_permuting_the_classes_of_blocks_changes_nothing(make_labels, rng):
    """The permutation test need not repeat the choice."""
    labels = make_labels(["abba"], rest=True)
    x = rng.standard_normal((len(labels.label), 6)).astype(np.float32)
    permuted = labels.with_block_labels(rng.permutation(labels.block_labels()))

    np.testing.assert_array_equal(block_contrasts(x, permuted), block_contrasts(x, labels))


def test_without_rest_the_lag_is_the_default():
    """Nothing can be told apart, and the reason says so."""

    def refuse(_lag_s):
        raise ConfigError("no pauses")

    lag_s, reason = choose_lag(np.zeros((1, 2), np.float32), refuse, held_out_rates)

    assert lag_s == DEFAULT_LAG_S
    assert "default" in reason
