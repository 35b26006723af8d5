"""The choice is made by one rule, and judged with the choice inside."""

import numpy as np
import pytest

from calibration.choose import DEFAULT_LAG_S, Nested, choose_lag
from calibration.evaluate import folds
from calibration.heads import Candidate, PermutableLda, fit_lda
from rtdecode.errors import ConfigError


def candidate(name, kind, labels, rng, strength):
    """Return features in which the classes differ by so much."""
    x = rng.standard_normal((len(labels.label), 12)).astype(np.float32)
    x[labels.chosen] += 0.5
    for c in range(labels.n_classes):
        x[labels.label == c, 4 * c : 4 * c + 4] += strength
    return Candidate(name, kind, x, fit_lda)


@pytest.fixture
def labels(make_labels):
    """Return sixteen blocks of two classes."""
    return make_labels(["abbaabab" * 2])


def test_the_default_stays_where_nothing_is_better(labels, rng):
    """A candidate as good as the default does not replace it."""
    first = candidate("first", "deep", labels, rng, 2.0)
    nested = Nested([first, candidate("other", "deep", labels, rng, 2.0)], labels)

    assert nested.choose(labels).name == "first"
    assert nested.nested


def test_a_clearly_better_candidate_is_taken(labels, rng):
    """The reason says by how much."""
    weak = candidate("weak", "deep", labels, rng, 0.1)
    nested = Nested([weak, candidate("strong", "linear", labels, rng, 2.0)], labels)

    chosen = nested.choose(labels)

    assert chosen.name == "strong"
    assert "more volumes of held-out blocks than weak" in chosen.reason
    decided = nested.held_out(labels)[labels.chosen].argmax(axis=1)
    assert (decided == labels.label[labels.chosen]).mean() > 0.8


def test_two_halves_of_the_truth_are_stacked(make_labels, rng):
    """Evidence of different classes, together, beats either; the weights are positive."""
    labels = make_labels(["abcdbadc" * 3])
    halves = []
    for kind, lifted in (("deep", (0, 1)), ("linear", (2, 3))):
        x = rng.standard_normal((len(labels.label), 12)).astype(np.float32)
        x[labels.chosen] += 0.5
        for c in lifted:
            x[labels.label == c, 3 * (c % 2) : 3 * (c % 2) + 3] += 1.2
        halves.append(Candidate(kind, kind, x, fit_lda))

    chosen = Nested(halves, labels, "stack").choose(labels)

    assert chosen.parts == ("deep", "linear")
    assert min(chosen.weights) > 0
    evidence = Nested(halves, labels).evidence(labels)
    stacked = chosen.combine(evidence)[labels.chosen].argmax(axis=1)
    alone = [e[labels.chosen].argmax(axis=1) for e in evidence.values()]
    truth = labels.label[labels.chosen]
    assert (stacked == truth).mean() > max((one == truth).mean() for one in alone)


@pytest.mark.parametrize("strength", [1.0, 6.0])
def test_folds_that_choose_differently_speak_at_one_scale(labels, rng, strength):
    """A decoder alone is cooled as a stack's parts are: one temperature suits both.

    Volumes of a block are near copies here, which a discriminant takes for certainty; the stronger
    ones are all decoded right, and certainty is no more deserved for that.
    """
    made = []
    for kind in ("deep", "linear"):
        of_block = rng.standard_normal((len(labels.blocks) + 1, 200))
        x = of_block[labels.block] + 0.05 * rng.standard_normal((len(labels.label), 200))
        x[labels.label == 0, :20] += strength
        made.append(Candidate(kind, kind, x.astype(np.float32), fit_lda))
    raw = [np.abs(e[labels.chosen]).mean() for e in Nested(made, labels).evidence(labels).values()]
    cooled = [
        np.abs(Nested(made, labels, preference).held_out(labels)[labels.chosen]).mean()
        for preference in ("deep", "linear", "stack")
    ]

    assert min(raw) > 30
    assert max(cooled) < 4


@pytest.mark.parametrize("preference", ["deep", "linear"])
def test_a_kind_asked_for_is_given(labels, rng, preference):
    """Even where another is better."""
    kinds = {"deep": 0.1, "linear": 0.1, preference: 0.05}
    made = [candidate(kind, kind, labels, rng, strength) for kind, strength in kinds.items()]

    assert Nested(made, labels, preference).choose(labels).name == preference


def test_a_kind_that_is_not_there_is_refused(labels, rng):
    """With the option's name."""
    with pytest.raises(ConfigError, match="--decoder linear"):
        Nested([candidate("deep", "deep", labels, rng, 1.0)], labels, "linear")


@pytest.mark.parametrize("preference", ["best", "stack"])
def test_too_few_blocks_to_choose_by_leave_the_default(make_labels, rng, preference):
    """Two blocks of a class cannot be nested; figures are then those of what is compiled."""
    labels = make_labels(["abba"])
    made = [candidate(kind, kind, labels, rng, 2.0) for kind in ("deep", "linear")]
    nested = Nested(made, labels, preference)

    chosen = nested.choose(labels)

    assert not nested.nested
    assert chosen.parts == (("deep",) if preference == "best" else ("deep", "linear"))
    assert "too few blocks" in chosen.reason
    assert np.isfinite(nested.held_out(labels)).all()


def test_choosing_among_noise_is_not_rewarded(make_labels, rng):
    """Twenty candidates that know nothing: the best by chance is at chance when nested."""
    right = []
    for _ in range(6):
        labels = make_labels(["abbaabab" * 2], pause_s=12.0)
        noise = [candidate(f"{n}", "deep", labels, rng, 0.0) for n in range(20)]
        decided = Nested(noise, labels).held_out(labels).argmax(axis=1)
        right.append((decided == labels.label)[labels.chosen].mean())

    assert 0.38 < np.mean(right) < 0.6


@pytest.mark.parametrize("true_lag_s", [3.0, 7.0])
def test_the_lag_is_found_by_task_against_rest(make_labels, rng, true_lag_s):
    """A response that is early or late moves the choice its way."""

    def labels_at(lag_s):
        return make_labels(["aaaaaaaa"], pause_s=16.0, rest=True, lag_s=lag_s)

    truth = labels_at(true_lag_s)
    x = rng.standard_normal((len(truth.label), 6)).astype(np.float32)
    x[truth.label == 0] += 1.5

    lag_s, reason = choose_lag(lambda of: PermutableLda(x, of, folds(of)).held_out(of), labels_at)

    assert abs(lag_s - true_lag_s) <= 1
    assert "best in held-out blocks" in reason


def test_without_rest_the_lag_is_the_default():
    """Nothing can be told apart, and the reason says so."""

    def refuse(_lag_s):
        raise ConfigError("no pauses")

    lag_s, reason = choose_lag(lambda _labels: np.zeros((1, 2)), refuse)

    assert lag_s == DEFAULT_LAG_S
    assert "default" in reason
