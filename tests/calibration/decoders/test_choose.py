"""The choice is made by one rule, and judged with the choice inside."""

from functools import partial
from itertools import product

import numpy as np
import pytest

from calibration.decoders.choose import NestedCrossValidation
from calibration.decoders.evaluate import folds, held_out, permutation_test
from calibration.decoders.lda import Candidate, fit_lda
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
    nested = NestedCrossValidation([first, candidate("other", "deep", labels, rng, 2.0)], labels)

    assert nested.choose().name == "first"
    assert nested.nested


def test_a_clearly_better_candidate_is_taken(labels, rng):
    """The reason says by how much."""
    weak = candidate("weak", "deep", labels, rng, 0.1)
    nested = NestedCrossValidation([weak, candidate("strong", "linear", labels, rng, 2.0)], labels)

    chosen = nested.choose()

    assert chosen.name == "strong"
    assert "more volumes of held-out blocks than weak" in chosen.reason
    decided = nested.true_evidence()[labels.chosen].argmax(axis=1)
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

    chosen = NestedCrossValidation(halves, labels, "stack").choose()

    assert chosen.parts == ("deep", "linear")
    assert min(chosen.shares) > 0
    evidence = NestedCrossValidation(halves, labels).evidence()
    stacked = chosen.combine(evidence)[labels.chosen].argmax(axis=1)
    alone = [e[labels.chosen].argmax(axis=1) for e in evidence.values()]
    truth = labels.label[labels.chosen]
    assert (stacked == truth).mean() > max((one == truth).mean() for one in alone)


@pytest.mark.parametrize("strength", [1.0, 6.0])
def test_folds_that_choose_differently_speak_at_one_scale(labels, rng, strength):
    """A decoder alone is scaled as a stack's parts are: one temperature suits both.

    Volumes of a block are near copies here, which a discriminant takes for certainty; the stronger
    ones are all decoded right, and certainty is no more deserved for that.
    """
    made = []
    for kind in ("deep", "linear"):
        of_block = rng.standard_normal((len(labels.blocks) + 1, 200))
        x = of_block[labels.block] + 0.05 * rng.standard_normal((len(labels.label), 200))
        x[labels.label == 0, :20] += strength
        made.append(Candidate(kind, kind, x.astype(np.float32), fit_lda))
    truth = labels.block_labels()[None]
    scales = [
        np.sqrt((validation.held_out(truth)[0, labels.chosen] ** 2).mean())
        for kind in ("deep", "linear", "stack")
        for validation in [NestedCrossValidation(made, labels, kind)]
    ]

    assert max(scales) < 2 * min(scales)
    # Blocks that all look alike to the fit are at 1; new ones are nearer to nothing.
    assert max(scales) < 1.2


@pytest.mark.parametrize("preference", ["deep", "linear"])
def test_a_kind_asked_for_is_given(labels, rng, preference):
    """Even where another is better."""
    kinds = {"deep": 0.1, "linear": 0.1, preference: 0.05}
    made = [candidate(kind, kind, labels, rng, strength) for kind, strength in kinds.items()]

    assert NestedCrossValidation(made, labels, preference).choose().name == preference


def test_a_kind_that_is_not_there_is_refused(labels, rng):
    """With the option's name."""
    with pytest.raises(ConfigError, match="--decoder linear"):
        NestedCrossValidation([candidate("deep", "deep", labels, rng, 1.0)], labels, "linear")


@pytest.mark.parametrize("preference", ["best", "stack"])
def test_too_few_blocks_to_choose_by_leave_the_default(make_labels, rng, preference):
    """Two blocks of a class cannot be nested; figures are then those of what is compiled."""
    labels = make_labels(["abba"])
    made = [candidate(kind, kind, labels, rng, 2.0) for kind in ("deep", "linear")]
    nested = NestedCrossValidation(made, labels, preference)

    chosen = nested.choose()

    assert not nested.nested
    assert chosen.parts == (("deep",) if preference == "best" else ("deep", "linear"))
    assert "too few blocks" in chosen.reason
    assert np.isfinite(nested.true_evidence()).all()


def test_choosing_among_noise_is_not_rewarded(make_labels, rng):
    """Twenty candidates that know nothing: the best by chance is at chance when nested."""
    right = []
    for _ in range(6):
        labels = make_labels(["abbaabab" * 2], pause_s=12.0)
        noise = [candidate(f"{n}", "deep", labels, rng, 0.0) for n in range(20)]
        decided = NestedCrossValidation(noise, labels).true_evidence().argmax(axis=1)
        right.append((decided == labels.label)[labels.chosen].mean())

    assert 0.38 < np.mean(right) < 0.6


def plain_fit(features, split, rows, n_features):
    """Return held-out log-probabilities by fitting each fold anew."""
    fit = partial(fit_lda, n_features=n_features)
    return held_out(Candidate("", "deep", features, fit), rows, split)


def centred(evidence):
    """Return logits about their mean over classes."""
    return evidence - evidence.mean(axis=1, keepdims=True)


def rates(evidence, rows):
    """Return the share of each block's volumes that are right."""
    right = evidence.argmax(axis=1) == rows.label
    return np.array([right[rows.block == n].mean() for n in np.unique(rows.block[rows.chosen])])


def better(ours, theirs):
    """Say whether one is better by a standard error, and by how much."""
    gain = ours - theirs
    return gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)), gain.mean()


def prefer(among, evidence, rows):
    """Return the candidate that the rule prefers."""
    best, most = among[0], -1.0
    for name in among[1:]:
        wins, gain = better(rates(evidence[name], rows), rates(evidence[among[0]], rows))
        if wins and gain > most:
            best, most = name, gain
    return best


def one_by_one(candidates, true, labels, preference):
    """Return the procedure's evidence as the docstrings describe it, by loops and plain fits.

    The folds are those of the true classes.
    """
    kinds = {c.name: c.kind for c in candidates}
    of_kind = {k: [n for n in kinds if kinds[n] == k] for k in ("deep", "linear")}
    evidence = {c.name: plain_fit(c.features, folds(true), labels, 12) for c in candidates}
    result = np.full((len(labels.label), labels.n_classes), np.nan)
    for fold in folds(true):
        rows = labels.take(fold.train)
        within = folds(true.take(fold.train))
        inner = {c.name: plain_fit(c.features[fold.train], within, rows, 12) for c in candidates}
        best = prefer(of_kind.get(preference, list(kinds)), inner, rows)
        shares = {best: 1.0}
        if preference in {"best", "stack"}:
            pair = [prefer(of_kind[k], inner, rows) for k in ("deep", "linear")]
            tried = []
            for share in (0.5, 0.25, 0.75):
                both = dict(zip(pair, (share, 1 - share), strict=True))
                top = sum(s * centred(inner[n]) for n, s in both.items())
                tried.append((top, both))
            top, both = max(tried, key=lambda each: rates(each[0], rows).mean())
            if preference == "stack" or better(rates(top, rows), rates(inner[best], rows))[0]:
                shares = both
        result[fold.test] = sum(s * centred(evidence[n])[fold.test] for n, s in shares.items())
    return result


@pytest.mark.parametrize("preference", ["best", "deep", "linear", "stack"])
def test_all_arrangements_together_are_each_one_alone(make_labels, rng, preference):
    """For the truth and for permuted classes, the fast procedure is the one written in loops."""
    labels = make_labels(["abbaabab"], pause_s=12.0)
    made = [
        candidate("one", "deep", labels, rng, 0.6),
        candidate("two", "deep", labels, rng, 0.7),
        candidate("three", "linear", labels, rng, 0.8),
        candidate("four", "linear", labels, rng, 0.5),
    ]
    truth = labels.block_labels()
    arrangements = np.stack([truth, *(rng.permutation(truth) for _ in range(8))])

    found = NestedCrossValidation(made, labels, preference).held_out(arrangements)

    compared = 0
    for arrangement, evidence in zip(arrangements, found, strict=True):
        relabelled = labels.with_block_labels(arrangement)
        if any(
            len(set(part.label[part.chosen])) < 2 for part in training_sides(labels, relabelled)
        ):
            continue  # a plain fit needs both classes
        compared += 1
        expected = one_by_one(made, labels, relabelled, preference)
        assert np.allclose(evidence, expected, atol=1e-3)
    assert compared >= 3


def training_sides(true, labels):
    """Yield the labels of every training side, outer and inner."""
    for fold in folds(true):
        rows = labels.take(fold.train)
        yield rows
        for inner in folds(true.take(fold.train)):
            yield rows.take(inner.train)


def test_permutations_that_unbalance_the_folds_are_at_chance(make_labels, rng):
    """On noise, an arrangement is right as often as any other, however it fills the folds.

    The folds are balanced for the true classes only. Uncorrected, a class that is rarer on a
    training side is hardly ever decided, permutations come out far below chance, and the true
    arrangement looks significant (a quarter right instead of a half in the worst arrangements).
    """
    worst, best = [], []
    for _ in range(12):
        labels = make_labels(["abbaabab"], pause_s=12.0)
        x = rng.standard_normal((len(labels.label), 300)).astype(np.float32)
        nested = NestedCrossValidation([Candidate("noise", "deep", x, fit_lda, 100)], labels)
        orders = [order for order in product((0, 1), repeat=8) if sum(order) == 4]
        rows = np.flatnonzero(labels.chosen)
        right = nested.held_out(np.array(orders))[:, rows].argmax(axis=2)
        for order, decided in zip(np.array(orders), right, strict=True):
            tested = [order[np.unique(labels.block[f.test & labels.chosen])] for f in nested.folds]
            balanced = sum(len(set(each)) == 2 for each in tested)
            share = (decided == order[labels.block[rows]]).mean()
            if balanced in {0, 4}:
                (worst if balanced == 0 else best).append(share)

    assert 0.46 < np.mean(worst) < 0.54
    assert 0.46 < np.mean(best) < 0.54


def test_p_is_uniform_where_classes_mean_nothing(make_labels, rng):
    """The whole procedure on noise that remembers: small p are as rare as they should be."""
    found = []
    for seed in range(60):
        order = "".join(rng.permutation(list("aaaabbbb")))
        labels = make_labels([order], pause_s=12.0)
        noise = [rng.standard_normal((len(labels.label), 60)) for _ in range(2)]
        for x in noise:
            for n in range(1, len(x)):
                x[n] += 0.7 * x[n - 1]
        made = [
            Candidate(kind, kind, x.astype(np.float32), fit_lda, 30)
            for kind, x in zip(("deep", "linear"), noise, strict=True)
        ]
        nested = NestedCrossValidation(made, labels)
        found.append(permutation_test(nested.held_out, labels, 1000, seed).p_value)

    # Of 60 p-values that are uniform on 2/70, 4/70 ...: 1.7, 15 and 30 expected, 3 standard errors.
    found = np.array(found)
    assert (found <= 0.05).sum() <= 5
    assert (found <= 0.25).sum() <= 25
    assert (found <= 0.5).sum() <= 42
