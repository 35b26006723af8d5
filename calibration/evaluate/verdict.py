"""One line that an operator can act on."""

from collections.abc import Sequence
from typing import NamedTuple

from calibration.evaluate.figures import LEVEL
from rtdecode.metrics import Metrics


class Verdict(NamedTuple):
    """Whether to go on to feedback."""

    go: bool
    sentence: str


def verdict(metrics: Metrics, classes: Sequence[str]) -> Verdict:
    """Say go where chance is excluded by permutation and by the blocks' interval, else no-go."""
    low, high = metrics.accuracy.interval_95_block
    p_value = metrics.p_value
    go = p_value is not None and p_value < LEVEL and low > metrics.chance
    what = " vs ".join(classes) if len(classes) == 2 else ", ".join(classes)
    p = "p not computed" if p_value is None else f"p = {p_value:.2g}"
    sentence = (
        f"{what}: {metrics.accuracy.block:.0%} of {metrics.n_blocks} blocks (95 % {low:.0%} to "
        f"{high:.0%}), chance {metrics.chance:.0%}, {p}: {'go' if go else 'no-go'}"
    )
    if go:
        return Verdict(go, sentence)
    if p_value is None:
        return Verdict(go, f"{sentence}; no time to test it against chance: give more --minutes")
    if metrics.accuracy.block <= metrics.chance + 0.05:
        return Verdict(go, f"{sentence}; nothing above chance: check events, motion and overlay")
    return Verdict(go, f"{sentence}; not established by so few blocks: scan another run (--from)")
