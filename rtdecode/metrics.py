"""What is known of a decoder's worth: figures of held-out data, and how they were come by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

LEVEL = 0.05
"""Of significance."""

ReadOutKind = Literal["window", "filter"]
"""How single volumes become a decision: a sliding window's mean, or the forward filter of a hidden
Markov chain."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Balanced accuracy of held-out data at three grains, chance being one in so many classes."""

    volume: float
    """Of single volumes."""
    window: float
    """Of the decision at each labelled volume, as it would be served: the window's or the
    filter's."""
    block: float
    """Of blocks: the class with the highest mean log-probability over the block's volumes."""
    interval_95_volume: tuple[float, float]
    """Bootstrap over blocks, which are the independent samples."""
    interval_95_window: tuple[float, float]
    interval_95_block: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Compared:
    """One decoder or control of those tried on the same data and folds."""

    name: str
    kind: str
    """`zero-shot`, `deep`, `linear`, `stack`, or `control`, which knows nothing of the brain or has
    learnt nothing."""
    accuracy: Accuracy
    log_loss: float
    """Of held-out decisions, natural logarithm."""


@dataclass(frozen=True, slots=True)
class ReadOutFigures:
    """What one way of reading the chosen decoder's evidence out is worth on held-out blocks."""

    name: str
    """With its window or its dwell time."""
    kind: ReadOutKind
    accuracy: float
    """Balanced, at each labelled volume; each block read out as the others suggest."""
    interval_95: tuple[float, float]
    """Bootstrap over blocks."""
    log_loss: float
    onset_latency_s: float | None
    """Median time from a block's onset to the first of three right decisions in a row; `None` where
    no block had one."""
    missed_blocks: int
    """Blocks without three right decisions in a row."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well the decoder did on data that it was not fitted to, and what that is worth."""

    split: str
    """How the held-out data were chosen, in words; the figures mean nothing without it."""
    n_blocks: int
    n_volumes: int
    chance: float
    accuracy: Accuracy
    p_value: float | None
    """Of the accuracy of volumes, by permutation of the blocks' labels before the whole pipeline;
    `None` where there was no time for it."""
    permutations: int
    confusion: tuple[tuple[int, ...], ...]
    """Blocks: rows are what was shown, columns what was decided, in the order of the classes."""
    log_loss: float
    """Of held-out decisions; log(number of classes) is what knowing nothing gives."""
    brier: float
    expected_calibration_error: float
    false_alarm_rate: float | None
    """Share of held-out volumes between blocks at which a class is decided; `None` where there are
    none."""
    onset_latency_s: float | None
    """Median time from a block's onset to the first of three right decisions in a row; `None` where
    no block had one."""
    missed_blocks: int
    """Blocks without three right decisions in a row."""
    comparison: tuple[Compared, ...] = ()
    read_outs: tuple[ReadOutFigures, ...] = ()
    """Of the window and the filter; the manifest's `read_out` is the one compiled."""
    notes: tuple[str, ...] = ()
    """What cannot be known from so few blocks, in words for the operator."""


class Verdict(NamedTuple):
    """Whether to go on to feedback, in one line that an operator can act on."""

    outcome: Literal["go", "no-go", "not tested"]
    """`not tested` is neither: there was no time for the permutation test."""
    sentence: str

    @property
    def go(self) -> bool:
        """Whether chance is excluded."""
        return self.outcome == "go"


def verdict(metrics: Metrics, classes: Sequence[str]) -> Verdict:
    """Say go where chance is excluded by permutation and by the blocks' interval.

    Otherwise no-go; without a permutation test, neither.
    """
    low, high = metrics.accuracy.interval_95_block
    p_value = metrics.p_value
    outcome: Literal["go", "no-go", "not tested"] = "no-go"
    if p_value is None:
        outcome = "not tested"
    elif p_value < LEVEL and low > metrics.chance:
        outcome = "go"
    what = " vs ".join(classes) if len(classes) == 2 else ", ".join(classes)
    p = "" if p_value is None else f", {p_in_words(p_value, metrics.permutations)}"
    sentence = (
        f"{what}: {metrics.accuracy.block:.0%} of {metrics.n_blocks} blocks (95 % {low:.0%} to "
        f"{high:.0%}), chance {metrics.chance:.0%}{p}: {outcome}"
    )
    if outcome == "not tested":
        sentence += " against chance: calibrate again without --minutes and Ctrl-C"
    elif outcome == "no-go" and metrics.accuracy.block <= metrics.chance + 0.05:
        sentence += "; nothing above chance: check events, motion and overlay"
    elif outcome == "no-go":
        sentence += "; not established by so few blocks: scan another run (--from)"
    return Verdict(outcome, sentence)


def p_in_words(p_value: float, permutations: int) -> str:
    """Return a p-value as text: `p <= 0.001` where no permutation did as well as the truth."""
    # A sample counts the true arrangement once more, so that its p is never below this.
    if abs(p_value * (1 + permutations) - 1) < 1e-9:
        return f"p <= {p_value:.1g}"
    return f"p = {p_value:.2g}"


def decoder_row(metrics: Metrics) -> Compared:
    """Return the decoder itself as a row to set above the candidates it was chosen from."""
    return Compared("the decoder", "choice included", metrics.accuracy, metrics.log_loss)


DECODER_ROW_NOTE = (
    "The first row is the decoder: its choice among the candidates was repeated without the blocks "
    "that it is scored on. The rows of the candidates leave that choice out, so the best of them "
    "looks a little better than it is."
)
