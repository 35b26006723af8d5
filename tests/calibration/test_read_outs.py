"""Read-outs are fitted on held-out blocks, and no further than these bear."""

import numpy as np
import pytest

from calibration.heads import log_softmax
from calibration.read_outs import fit_read_outs, fit_temperature


def evidence_of(labels, rng, signal, noise=1.0):
    """Return noisy log-probabilities in which the truth is `signal` more likely."""
    logits = noise * rng.standard_normal((len(labels.label), labels.n_classes))
    rows = np.flatnonzero(labels.chosen)
    logits[rows, labels.label[rows]] += signal
    return log_softmax(logits)


def everything(labels):
    """Return that every volume counts."""
    return np.ones(len(labels.label), dtype=bool)


def test_overconfident_evidence_is_cooled(make_labels, rng):
    """Log-probabilities that claim ten times too much get a temperature well above one."""
    labels = make_labels(["abcabcabcabc"])
    honest = evidence_of(labels, rng, 0.7)

    plain, _ = fit_temperature(honest, labels, everything(labels), 1)
    cooled, why = fit_temperature(log_softmax(10 * honest), labels, everything(labels), 1)

    assert cooled / plain == pytest.approx(10, rel=0.35)
    assert "lowers the held-out log-loss" in why


def test_a_temperature_that_does_not_help_is_none(make_labels):
    """Evidence without any signal, already uniform, is left alone."""
    labels = make_labels(["abab"])
    nothing = np.log(np.full((len(labels.label), 2), 0.5))

    temperature, why = fit_temperature(nothing, labels, everything(labels), 4)

    assert temperature == 1.0
    assert "no temperature" in why


def test_the_shortest_window_that_does_is_taken(make_labels, rng):
    """Clear evidence needs no more than the shortest window of 8 s; it is never above 12 s."""
    labels = make_labels(["abababab"], block_s=30.0, pause_s=20.0)
    clear = fit_read_outs(evidence_of(labels, rng, 4.0), labels, everything(labels), 2.0)
    weak = fit_read_outs(evidence_of(labels, rng, 0.6, 1.5), labels, everything(labels), 2.0)

    assert clear.window_volumes == 4
    assert 4 <= weak.window_volumes <= 6


def test_long_pauses_teach_a_threshold(make_labels, rng):
    """Where rest looks like nothing and the task is clear, rest is mostly not decided."""
    labels = make_labels(["abababab"], pause_s=40.0)
    evidence = evidence_of(labels, rng, 6.0)
    evidence[~labels.chosen] = log_softmax(0.3 * rng.standard_normal((2000, 2)))[
        : (~labels.chosen).sum()
    ]

    found = fit_read_outs(evidence, labels, everything(labels), 2.0)

    assert 0.5 < found.none_threshold < 1
    assert any("none" in note for note in found.notes)


def test_short_pauses_teach_none_and_say_so(make_labels, rng):
    """Pauses shorter than the window hold no window of pure rest."""
    labels = make_labels(["abababab"], pause_s=4.0)

    in_between = (labels.acquired_s > 25) & (labels.acquired_s < 180)

    found = fit_read_outs(evidence_of(labels, rng, 3.0), labels, in_between, 2.0)

    assert found.none_threshold == 0.0
    assert any("none" in note for note in found.notes)
