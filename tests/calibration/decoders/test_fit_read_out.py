"""Read-outs are fitted on held-out blocks, and no further than these bear."""

import numpy as np
import pytest

from calibration.decoders.evaluate import filtered, windows
from calibration.decoders.fit_read_out import DWELLS_S, KINDS, fit_read_out, fit_read_outs
from calibration.decoders.head import log_softmax
from calibration.decoders.temperature import TEMPERATURES, loss_per_block

REPETITION_TIME_S = 2.0


def evidence_of(labels, rng, signal, noise=1.0):
    """Return noisy log-probabilities in which the truth is `signal` more likely."""
    logits = noise * rng.standard_normal((len(labels.label), labels.n_classes))
    rows = np.flatnonzero(labels.chosen)
    logits[rows, labels.label[rows]] += signal
    return log_softmax(logits)


def everything(labels):
    """Return that every volume counts."""
    return np.ones(len(labels.label), dtype=bool)


def fit(kind, evidence, labels):
    """Fit one read-out to a run of which every volume counts."""
    return fit_read_out(kind, evidence, labels, everything(labels), REPETITION_TIME_S)


@pytest.mark.parametrize("kind", KINDS)
def test_overconfident_evidence_is_cooled(make_labels, rng, kind):
    """Log-probabilities that claim ten times too much get a temperature ten times as high."""
    labels = make_labels(["abcabcabcabc"])
    honest = evidence_of(labels, rng, 0.7)

    plain, cooled = (fit(kind, e, labels) for e in (honest, log_softmax(10 * honest)))

    assert cooled.temperature / plain.temperature == pytest.approx(10, rel=0.35)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_help_is_left_at_one(make_labels, kind):
    """Evidence without any signal, already uniform, keeps its temperature."""
    labels = make_labels(["abab"])
    nothing = np.log(np.full((len(labels.label), 2), 0.5))

    assert fit(kind, nothing, labels).temperature == 1.0


def test_clear_evidence_needs_the_shortest_window(make_labels, rng):
    """Where one volume says all, the window is of 2 s; where it says little, longer, to 12 s."""
    labels = make_labels(["abababab"], block_s=30.0, pause_s=0.0)

    clear = fit("window", evidence_of(labels, rng, 4.0, 0.3), labels)
    weak = fit("window", evidence_of(labels, rng, 0.6, 1.5), labels)

    assert (clear.window_volumes, clear.name) == (1, "window of 2 s")
    assert 2 <= weak.window_volumes <= 6
    assert clear.dwell_s is weak.dwell_s is None


def test_long_blocks_teach_a_long_dwell_time(make_labels, rng):
    """Noisy evidence of independent volumes is gathered for longer the longer the blocks are."""
    short, long = (
        fit("filter", evidence_of(labels, rng, 1.0), labels)
        for labels in (
            make_labels(["ab" * 12], block_s=8.0, pause_s=0.0),
            make_labels(["ab" * 6], block_s=60.0, pause_s=0.0),
        )
    )

    assert short.dwell_s < long.dwell_s
    assert {short.dwell_s, long.dwell_s} <= set(DWELLS_S)
    assert long.window_volumes == round(long.dwell_s / REPETITION_TIME_S)
    assert long.name == f"filter, dwell {long.dwell_s:g} s"


def test_the_filter_decides_where_it_is_better(make_labels, rng):
    """States that last, seen through noise, are what a hidden Markov chain is for."""
    labels = make_labels(["abcabcabcabc"], block_s=30.0, pause_s=0.0)
    found = fit_read_outs(
        evidence_of(labels, rng, 1.2), labels, everything(labels), REPETITION_TIME_S
    )
    window, filtering = found.tried

    assert found.chosen is filtering
    assert filtering.loss < window.loss
    assert filtering.name in found.reason
    assert window.name in found.reason
    figures = [one.figures(labels) for one in found.tried]
    assert [one.kind for one in figures] == ["window", "filter"]
    assert figures[1].accuracy > figures[0].accuracy


def test_the_window_decides_where_it_is_better(make_labels, rng):
    """Noise that comes back with the opposite sign averages out; a filter takes it at its word."""
    labels = make_labels(["abab" * 3], block_s=20.0, pause_s=12.0)
    logits = np.zeros((len(labels.label), 2))
    swing = 6.0 * rng.standard_normal(len(labels.label) // 2)
    logits[: 2 * len(swing), 0] = np.stack([swing, -swing], axis=1).ravel()
    rows = np.flatnonzero(labels.chosen)
    logits[rows, labels.label[rows]] += 1.0
    found = fit_read_outs(log_softmax(logits), labels, everything(labels), REPETITION_TIME_S)

    assert found.chosen.kind == "window"
    assert found.chosen.loss < found.tried[1].loss


def test_of_equals_the_window_is_taken(make_labels):
    """Without any evidence both say nothing, and the window stays."""
    labels = make_labels(["abab"])
    nothing = np.log(np.full((len(labels.label), 2), 0.5))

    found = fit_read_outs(nothing, labels, everything(labels), REPETITION_TIME_S)

    assert found.chosen.kind == "window"
    assert found.tried[0].loss == found.tried[1].loss


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_for_is_taken(make_labels, rng, kind):
    """Whatever held-out blocks prefer, which is said all the same."""
    labels = make_labels(["abababab"])
    evidence = evidence_of(labels, rng, 1.5)

    found = fit_read_outs(evidence, labels, everything(labels), REPETITION_TIME_S, kind)

    assert found.chosen.kind == kind
    assert found.reason.startswith("as asked for")
    assert len(found.tried) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_blocks_own_truth_has_no_say_in_its_figures(make_labels, rng, kind):
    """What is reported of a block does not change when that block alone is relabelled."""
    labels = make_labels(["abcabcabc"], pause_s=8.0)
    evidence = evidence_of(labels, rng, 1.5)
    plain = fit(kind, evidence, labels)
    for block in (0, 4):
        of = labels.block_labels()
        of[block] = (of[block] + 1) % 3
        other = fit(kind, evidence, labels.with_block_labels(of))
        rows = labels.block == block
        np.testing.assert_array_equal(other.log_probabilities[rows], plain.log_probabilities[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_the_shortest_within_a_standard_error_is_taken(make_labels, rng, kind):
    """Each span at the temperature that suits it; longer ones must be told apart by the blocks."""
    labels = make_labels(["abcabcabcabc"])
    usable = everything(labels)
    evidence = evidence_of(labels, rng, 1.5)
    found = fit(kind, evidence, labels)

    def losses(span):
        best = None
        for temperature in TEMPERATURES:
            cooled = evidence / temperature
            served = (
                windows(cooled, labels, usable, span)
                if kind == "window"
                else filtered(cooled, labels, usable, span / REPETITION_TIME_S)
            )
            loss = loss_per_block(served, labels)
            if best is None or loss.mean() < best[0].mean():
                best = loss, temperature
        return best

    spans = tuple(range(1, 7)) if kind == "window" else DWELLS_S
    every = [losses(span) for span in spans]
    least = min((loss for loss, _ in every), key=np.mean)
    within = [
        (loss - least).mean() <= (loss - least).std(ddof=1) / np.sqrt(12) for loss, _ in every
    ]
    place = within.index(True)
    assert (found.dwell_s or found.window_volumes) == spans[place]
    assert found.temperature == every[place][1]


@pytest.mark.parametrize("kind", KINDS)
def test_long_pauses_teach_a_threshold(make_labels, rng, kind):
    """Where rest looks like nothing and the task is clear, rest is mostly not decided."""
    labels = make_labels(["abababab"], pause_s=40.0)
    evidence = evidence_of(labels, rng, 6.0)
    evidence[~labels.chosen] = log_softmax(0.3 * rng.standard_normal((2000, 2)))[
        : (~labels.chosen).sum()
    ]

    found = fit(kind, evidence, labels)

    assert 0.5 < found.none_threshold < 1
    assert any("pure rest" in note for note in found.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_short_pauses_teach_none_and_say_so(make_labels, rng, kind):
    """Pauses shorter than the window or the dwell time hold no pure rest."""
    labels = make_labels(["abababab"], pause_s=0.0)
    in_between = (labels.acquired_s > 25) & (labels.acquired_s < 140)

    found = fit_read_out(kind, evidence_of(labels, rng, 1.0), labels, in_between, REPETITION_TIME_S)

    assert found.none_threshold == 0.0
    assert any("no threshold for none" in note for note in found.notes)
