"""Figures of a study: how well people who were left out are decoded."""

import numpy as np

from calibration.weights.study import StudyDescription
from rtdecode import report_kit as kit

N_BOOTSTRAP = 4000
ORDER = ("pool", "priors with own blocks")


def headline(about: StudyDescription) -> str:
    """Return the main result in one sentence."""
    mean, low, high = interval(about, "pool", 0)
    return (
        f"without own data, {mean:.0%} (95 % {low:.0%} to {high:.0%}) of the volumes of "
        f"{about.n_people} people left out one at a time are decoded "
        f"correctly; chance {1 / len(about.classes):.0%}"
    )


def table(about: StudyDescription) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return head and rows of the learning curve: mean share and interval by decoder."""
    counts = block_counts(about)
    head = ("share of volumes", *(kit.count(n, "own block") for n in counts))
    rows = [(name, *(_cell(about, name, n) for n in counts)) for name in _decoders(about)]
    return head, rows


def interval(about: StudyDescription, decoder: str, n_blocks: int) -> tuple[float, float, float]:
    """Return mean and 95 % interval over people of a decoder's share of volumes."""
    shares = np.array(
        [
            person.shares[n_blocks][decoder]
            for person in about.left_out
            if decoder in person.shares.get(n_blocks, {})
        ]
    )
    rng = np.random.default_rng(0)
    means = shares[rng.integers(0, len(shares), (N_BOOTSTRAP, len(shares)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(shares.mean()), float(low), float(high)


def block_counts(about: StudyDescription) -> list[int]:
    """Return the numbers of own blocks of each class that were tried."""
    return sorted({count for person in about.left_out for count in person.shares})


def _decoders(about: StudyDescription) -> list[str]:
    names = {name for p in about.left_out for shares in p.shares.values() for name in shares}
    return [name for name in ORDER if name in names] + sorted(names - set(ORDER))


def _cell(about: StudyDescription, decoder: str, n_blocks: int) -> str:
    people = sum(decoder in p.shares.get(n_blocks, {}) for p in about.left_out)
    if not people:
        return ""
    mean, low, high = interval(about, decoder, n_blocks)
    few = "" if people == len(about.left_out) else f", n = {people}"
    return f"{mean:.0%} ({low:.0%}-{high:.0%}{few})"
