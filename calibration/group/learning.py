"""Learning curve of one person: training on the first blocks, tests on the last ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.head import Head
from calibration.decoders.lda import N_FEATURES, VOXEL_SHARE, fit_lda
from calibration.decoders.prior import ClassMeans, PoolRule
from calibration.networks.features import VOXELS
from rtdecode.types import Float32, Float64

COUNTS = (0, 1, 2, 3, 5, 8)
"""Numbers of own blocks of each class."""


@dataclass(frozen=True, slots=True, eq=False)
class LearningSplit:
    """The blocks of one person that are learnt from, and those that are decoded."""

    test: NDArray[np.int64]
    """Row numbers of the tested volumes, the same for every number of own blocks."""
    train: dict[int, Labels]
    """Labels of all rows by number of own blocks of each class; other blocks have no labels."""


def split_person(labels: Labels) -> LearningSplit:
    """Split a person's blocks: the later half of each class is tested.

    The first blocks of the earlier half are learnt from. Rest before the first tested volume is
    used as well.
    """
    of = labels.block_labels()
    shown = np.unique(labels.block[labels.chosen])
    ordered = sorted(shown, key=lambda n: (labels.blocks[n].run, labels.blocks[n].onset_s))
    by_class = [[n for n in ordered if of[n] == c] for c in range(labels.n_classes)]
    kept = [len(blocks) - max(1, len(blocks) // 2) for blocks in by_class]
    tested = [n for blocks, first in zip(by_class, kept, strict=True) for n in blocks[first:]]
    test = np.flatnonzero(np.isin(labels.block, tested))
    before = np.arange(len(labels.label)) < test.min()
    train = {}
    for n_blocks in COUNTS:
        if n_blocks > min(kept):
            break
        learnt = [n for blocks in by_class for n in blocks[:n_blocks]]
        used = np.isin(labels.block, learnt) | (labels.rest & before)
        train[n_blocks] = labels.only_usable(used)
    return LearningSplit(test, train)


def own_logits(layer: int, features: Float32, split: LearningSplit) -> dict[int, Float64]:
    """Return the logits of the tested volumes (m, K) from own blocks only, by their number."""
    n_features = max(1, round(VOXEL_SHARE * features.shape[1])) if layer == VOXELS else N_FEATURES
    logits = {}
    for n_blocks, labels in split.train.items():
        if n_blocks:
            rows = np.flatnonzero(labels.chosen | labels.rest)
            head = fit_lda(features[rows], labels.take(rows), n_features)
            logits[n_blocks] = _logits(head, features[split.test])
    return logits


Curves = dict[PoolRule, dict[int, dict[str, Float64]]]
"""Logits of the tested volumes (m, K) by rule, number of own blocks, and decoder."""


def learning_curves(
    priors: dict[int, ClassMeans],
    selected: dict[int, Float32],
    own: dict[int, dict[int, Float64]],
    split: LearningSplit,
    rules: Sequence[PoolRule],
) -> Curves:
    """Return the logits of a person's tested volumes for each rule.

    Parameters
    ----------
    priors
        The prior of each layer, from other people.
    selected
        (n, f) the features that the priors read, of each layer.
    own
        From `own_logits`, of each layer.
    split
        From `split_person`.
    rules
        How own data and priors are weighed.
    """
    with_prior = {
        (size, n_blocks): np.mean(
            [
                _logits(
                    replace(prior, pseudo_blocks=size).head(selected[layer], labels),
                    selected[layer][split.test],
                )
                for layer, prior in priors.items()
            ],
            axis=0,
        )
        for size in sorted({rule.pseudo_blocks for rule in rules})
        for n_blocks, labels in split.train.items()
    }
    curves: Curves = {}
    for rule in rules:
        curves[rule] = {}
        for n_blocks in split.train:
            prior_part = with_prior[rule.pseudo_blocks, n_blocks]
            found = {"pool": prior_part, "priors with own blocks": prior_part}
            if n_blocks:
                own_part = np.mean([own[layer][n_blocks] for layer in priors], axis=0)
                share = rule.own_share(n_blocks)
                found["pool"] = share * own_part + (1 - share) * prior_part
                for layer in priors:
                    name = "voxels, own" if layer == VOXELS else f"convolution {layer}, own"
                    found[name] = own[layer][n_blocks]
            curves[rule][n_blocks] = found
    return curves


def _logits(head: Head, features: Float32) -> Float64:
    logits = features.astype(np.float32) @ head.weight.T + head.bias
    return np.asarray(logits - logits.mean(axis=1, keepdims=True), dtype=np.float64)
