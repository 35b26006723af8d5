"""Cross-validation folds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.lda import Candidate
from calibration.progress import Progress, silent
from rtdecode.errors import ConfigError
from rtdecode.report_kit import count
from rtdecode.types import Bool, Float64

GUARD_S = 8.0
"""Training volumes closer than this to a held-out example are left out: neighbours share noise."""
MAX_FOLDS = 5


class Fold(NamedTuple):
    """The test and training rows of one split."""

    test: Bool
    """(n,) test rows; every row is tested in exactly one fold."""
    train: Bool
    """(n,) training rows."""


def folds(labels: Labels, *, with_prior: bool = False) -> tuple[Fold, ...]:
    """Split by runs if each contains every class, otherwise by blocks.

    Each fold holds out one block of each class, or several if there are more than five. A volume
    between blocks belongs to the nearest block. Neighbouring volumes stay together.

    With a prior, a training side needs no own blocks. If a class has a single block, or too few
    to hold one out, one fold tests all blocks with the prior alone.

    Raises
    ------
    ConfigError
        Some class would be missing from a training side, and there is no prior.
    """
    group = _groups(labels)
    parts = []
    for number in np.unique(group):
        test = group == number
        examples = test & labels.chosen
        train = ~test
        for run in np.unique(labels.run[examples]):
            here = labels.run == run
            apart_s = np.abs(
                labels.acquired_s[here][:, None] - labels.acquired_s[here & examples][None, :]
            )
            train[here] &= apart_s.min(axis=1) > GUARD_S
        parts.append(Fold(test, train))
    short = {
        labels.classes[c]
        for fold in parts
        for c in range(labels.n_classes)
        if c not in labels.label[fold.train]
    }
    if short and with_prior:
        return (Fold(np.ones(labels.label.shape, bool), np.zeros(labels.label.shape, bool)),)
    if short:
        raise ConfigError(
            f"{', '.join(sorted(short))}: too few blocks, or too close together, to hold one out; "
            "add a run, merge classes (--classes), or leave one out"
        )
    return tuple(parts)


def describe(labels: Labels, parts: Sequence[Fold]) -> str:
    """Describe the folds in words."""
    runs = len(np.unique(labels.run))
    if not any(fold.train.any() for fold in parts):
        return "prior only, without own data: there are too few blocks to hold one out"
    how = "run" if _by_run(labels) else "block of each class"
    return f"leave one {how} out, {len(parts)} folds, {GUARD_S:g} s guard, {count(runs, 'run')}"


def held_out(
    candidate: Candidate, labels: Labels, parts: Sequence[Fold], progress: Progress = silent
) -> Float64:
    """Return (n, K) held-out log-probabilities: each volume's fit excludes its fold."""
    result = np.full((len(labels.label), labels.n_classes), np.nan)
    for done, fold in enumerate(parts, start=1):
        train = fold.train & (labels.chosen | labels.rest)
        fitted = candidate.fit(candidate.features[train], labels.take(train))
        result[fold.test] = fitted.log_probabilities(candidate.features[fold.test])
        progress(f"hold out: {candidate.name}", done, len(parts))
    return result


def _by_run(labels: Labels) -> bool:
    runs = np.unique(labels.run)
    return len(runs) > 1 and all(
        set(labels.label[(labels.run == run) & labels.chosen]) == set(range(labels.n_classes))
        for run in runs
    )


def _groups(labels: Labels) -> NDArray[np.int64]:
    """Return the number of the fold that tests each row, (n,)."""
    if _by_run(labels):
        return labels.run.astype(np.int64)
    shown = np.unique(labels.block[labels.chosen])
    of = labels.block_labels()
    most = max(int((of[shown] == c).sum()) for c in range(labels.n_classes))
    n_folds = min(MAX_FOLDS, most)
    fold_of = np.zeros(len(labels.blocks), dtype=np.int64)
    for c in range(labels.n_classes):
        mine = shown[of[shown] == c]
        fold_of[mine] = np.arange(len(mine)) % n_folds
    group = np.zeros(labels.label.shape, dtype=np.int64)
    for run in np.unique(labels.run):
        here = np.flatnonzero(labels.run == run)
        examples = here[labels.chosen[here]]
        if not len(examples):
            continue
        apart_s = np.abs(labels.acquired_s[here][:, None] - labels.acquired_s[examples][None, :])
        group[here] = fold_of[labels.block[examples[apart_s.argmin(axis=1)]]]
    return group
