"""Priors: class means of others as pseudo-blocks, and heads that need no fit."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.decoders.choose import NestedCrossValidation
from calibration.decoders.decoder_choice import POOL
from calibration.decoders.discriminant import Split, logits_of
from calibration.decoders.evaluate import describe, folds, permutation_test
from calibration.decoders.lda import Candidate, fit_lda, split_of
from calibration.decoders.prior import SHRINKAGE, ClassMeans, KnownStates, PoolRule
from rtdecode.errors import ConfigError

N_FEATURES = 12


@pytest.fixture
def labels(make_labels):
    """Return twelve blocks of two classes."""
    return make_labels(["abbaababbaab"])


@pytest.fixture
def features(labels, rng):
    """Return features that shift by class."""
    x = rng.standard_normal((len(labels.label), N_FEATURES)).astype(np.float32)
    x[labels.label == 0, :4] += 1.0
    x[labels.label == 1, 4:8] += 1.0
    return x


def class_means(rng, *, swapped: bool = False, rows: int = 20) -> ClassMeans:
    """Return a prior that knows the classes of `features`, or takes each for the other."""
    means = np.zeros((2, N_FEATURES - 1))
    means[0, :3] = means[1, 3:7] = 1.0
    if swapped:
        means = means[::-1].copy()
    return ClassMeans(
        index=np.arange(1, N_FEATURES),
        scale=np.full(N_FEATURES - 1, 0.9),
        means=means,
        scatter=rng.standard_normal((rows, N_FEATURES - 1)),
        n_scatter=float(rows),
    )


def expected_logits(prior, x, label, block, y):
    """Return the centred logits of the same estimate, written out in the space of features."""
    x, y = x[:, prior.index] / prior.scale, y[:, prior.index] / prior.scale
    mean = x.mean(axis=0) if len(x) else prior.means.mean(axis=0)
    x, y = x - mean, y - mean
    known = prior.means - prior.means.mean(axis=0)
    size = len(x) / len(np.unique(block)) if len(x) else 1.0
    pseudo = prior.pseudo_blocks * size
    counts = np.array([(label == c).sum() for c in range(2)]) + pseudo
    sums = np.stack([x[label == c].sum(axis=0) for c in range(2)]) + pseudo * known
    means = sums / counts[:, None]
    total = x.T @ x + pseudo * known.T @ known + prior.scatter.T @ prior.scatter
    n = counts.sum() + prior.n_scatter
    ridge = SHRINKAGE * np.trace(total) / n / x.shape[1]
    within = total - (means * counts[:, None]).T @ means
    precision = np.linalg.inv(ridge * np.eye(x.shape[1]) + (1 - SHRINKAGE) / n * within)
    weight = means @ precision
    logits = y @ weight.T - 0.5 * np.einsum("kf,kf->k", weight, means)
    return logits - logits.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("n_train", [0, 24])
def test_pseudo_blocks_are_blocks_with_the_means_of_others(labels, features, rng, n_train) -> None:
    """Without own blocks and with some, the fast form is the estimate written out.

    The correction for noise needs two blocks of a class and only moves the classes' offset.
    """
    prior = replace(class_means(rng), pseudo_blocks=2.0)
    examples = np.flatnonzero(labels.chosen)
    train, test = examples[:n_train], examples[-12:]
    (side,) = prior.sides(features, labels, [Split(train, test)])
    found = logits_of(side, labels.block_labels()[None], 2)[0]
    expected = expected_logits(
        prior, features[train], labels.label[train], labels.block[train], features[test]
    )
    assert found.shape == expected.shape
    difference, wanted = found[:, 0] - found[:, 1], expected[:, 0] - expected[:, 1]
    slope, offset = np.polyfit(wanted, difference, 1)
    assert slope > 0
    np.testing.assert_allclose(difference, slope * wanted + offset, atol=1e-6)
    assert n_train or abs(offset) < 1e-9


@pytest.mark.parametrize("kind", ["class means", "known states"])
def test_the_head_gives_the_logits_of_the_side(labels, features, rng, kind) -> None:
    """What is compiled decodes as what is evaluated."""
    prior = class_means(rng)
    if kind == "known states":
        weight = rng.standard_normal((2, N_FEATURES)).astype(np.float32)
        prior = KnownStates(weight, np.array([0.3, -0.2], np.float32))
    examples = np.flatnonzero(labels.chosen)
    (side,) = prior.sides(features, labels, [Split(examples, examples)])
    expected = logits_of(side, labels.block_labels()[None], 2)[0]
    head = prior.head(features, labels)
    found = features[examples] @ head.weight.T + head.bias
    found -= found.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_known_states_do_not_depend_on_labels(labels, features, rng) -> None:
    """Every assignment of classes has the same logits, with a root mean square of 1."""
    prior = KnownStates(rng.standard_normal((2, N_FEATURES)).astype(np.float32), np.zeros(2, "f"))
    rows = np.arange(len(labels.label))
    (side,) = prior.sides(features, labels, [Split(rows[:10], rows)])
    truth = labels.block_labels()
    one, other = logits_of(side, np.stack([truth, 1 - truth]), 2)
    np.testing.assert_array_equal(one, other)
    assert np.sqrt(np.mean(one**2)) == pytest.approx(1.0)


@pytest.fixture
def one_block_each(make_labels):
    """Return labels of one block of each of two classes."""
    labels = make_labels(["abab"])
    return labels.only_usable(labels.block < 2)


def candidates(features, prior):
    """Return the own decoder and the prior."""
    return [
        Candidate("own", "deep", features, fit_lda),
        Candidate("with others", "prior", features, fit_lda, prior=prior),
    ]


def test_a_pool_of_own_data_and_a_right_prior_is_the_default(labels, features, rng) -> None:
    """Its shares follow the number of own blocks, and its evidence is that of both parts."""
    nested = NestedCrossValidation(candidates(features, class_means(rng)), labels)
    chosen = nested.choose()
    assert chosen.name == POOL
    assert chosen.parts == ("own", "with others")
    assert chosen.shares[0] == pytest.approx(PoolRule().own_share(6))
    assert sum(chosen.shares) == pytest.approx(1.0)
    decided = nested.true_evidence()[labels.chosen].argmax(axis=1)
    assert (decided == labels.label[labels.chosen]).mean() > 0.8


def test_a_wrong_prior_is_left_out(make_labels, rng) -> None:
    """With the classes permuted, the person's own data decide alone."""
    labels = make_labels(["abbaababbaababba"])
    x = rng.standard_normal((len(labels.label), N_FEATURES)).astype(np.float32)
    x[labels.label == 0, :4] += 0.7
    x[labels.label == 1, 4:8] += 0.7
    wrong = replace(class_means(rng, swapped=True), pseudo_blocks=20.0)
    rule = PoolRule(20.0, 20.0)
    nested = NestedCrossValidation(candidates(x, wrong), labels, rule=rule)
    assert nested.choose().parts == ("own",)
    right = nested.true_evidence()[labels.chosen].argmax(axis=1) == labels.label[labels.chosen]
    forced = NestedCrossValidation(candidates(x, wrong), labels, "pool", rule=rule)
    pooled = forced.true_evidence()[labels.chosen].argmax(axis=1) == labels.label[labels.chosen]
    assert right.mean() > 0.7 > pooled.mean()


def test_one_block_of_each_class_is_decoded_by_the_prior_alone(one_block_each, rng) -> None:
    """The evaluation has no own block; the compiled decoder has one of each class."""
    labels = one_block_each
    x = rng.standard_normal((len(labels.label), N_FEATURES)).astype(np.float32)
    x[labels.label == 0, :4] += 2.0
    x[labels.label == 1, 4:8] += 2.0
    prior = class_means(rng)
    nested = NestedCrossValidation(candidates(x, prior), labels)
    assert describe(labels, nested.folds).startswith("prior only, without own data")
    examples = np.flatnonzero(labels.chosen)
    nothing = labels.only_usable(np.zeros(len(labels.label), bool))
    alone = prior.head(x, nothing).log_probabilities(x[examples])
    found = nested.true_evidence()[examples]
    np.testing.assert_array_equal(found.argmax(axis=1), alone.argmax(axis=1))
    assert nested.choose().shares[0] == pytest.approx(PoolRule().own_share(1))


def test_folds_without_training_blocks_need_a_prior(one_block_each) -> None:
    """Without a prior they are refused; with one, a single fold tests everything."""
    with pytest.raises(ConfigError, match="too few blocks"):
        folds(one_block_each)
    (fold,) = folds(one_block_each, with_prior=True)
    assert fold.test.all()
    assert not fold.train.any()
    assert len(split_of(one_block_each, fold).train) == 0


def test_a_prior_without_signal_is_not_significant(make_labels) -> None:
    """In null worlds small p-values are as rare as they should be."""
    small = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        labels = make_labels(["abbaabab"])
        x = rng.standard_normal((len(labels.label), N_FEATURES)).astype(np.float32)
        nested = NestedCrossValidation(candidates(x, class_means(rng)), labels)
        small += (permutation_test(nested.held_out, labels, 70, 0).p_value or 1.0) <= 0.1
    assert small <= 9  # 4 are expected; 9 or more have a probability of 2 %
