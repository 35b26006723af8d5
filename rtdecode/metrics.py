"""Held-out performance of a decoder, and the go/no-go rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

LEVEL = 0.05
"""Level of significance."""

ReadOutKind = Literal["window", "filter"]
"""How evidence of single volumes becomes a decision: the mean of a sliding window, or the forward
filter of a hidden Markov model."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Balanced accuracy of held-out data. Chance is 1 / number of classes."""

    volume: float
    """Accuracy of single volumes."""
    window: float
    """Accuracy of the decision at each labelled volume, as served (by window or filter)."""
    block: float
    """Accuracy of blocks. A block's class has the highest mean log-probability over its volumes."""
    interval_95_volume: tuple[float, float]
    """Bootstrap over blocks, because blocks are the independent samples."""
    interval_95_window: tuple[float, float]
    interval_95_block: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Compared:
    """A decoder or a control, evaluated on the same data and folds."""

    name: str
    kind: str
    """`deep`, `linear`, `prior`, `stack`, `pool` or `control`. A control does not use the brain, or
    its weights are random."""
    accuracy: Accuracy
    log_loss: float
    """Log-loss of held-out decisions, natural logarithm."""


@dataclass(frozen=True, slots=True)
class ReadOutFigures:
    """Held-out performance of the chosen decoder with one read-out."""

    name: str
    """Name of the read-out, with its window or dwell time."""
    kind: ReadOutKind
    accuracy: float
    """Balanced accuracy at each labelled volume, with settings fitted to the other blocks."""
    interval_95: tuple[float, float]
    """Bootstrap over blocks."""
    log_loss: float
    onset_latency_s: float | None
    """Median time from a block's onset to the first of three correct decisions in a row; `None` if
    no block had one."""
    missed_blocks: int
    """Number of blocks without three correct decisions in a row."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Performance of the decoder on data that it was not fitted to."""

    split: str
    """How the held-out data were chosen, in words."""
    n_blocks: int
    n_volumes: int
    chance: float
    accuracy: Accuracy
    p_value: float | None
    """p-value of the accuracy of volumes, from permuted labels of the blocks before the whole
    pipeline. `None` if the test was not finished."""
    permutations: int
    confusion: tuple[tuple[int, ...], ...]
    """Numbers of blocks: rows are true classes, columns are decided classes."""
    log_loss: float
    """Log-loss of held-out decisions. Equal probabilities give log(number of classes)."""
    brier: float
    expected_calibration_error: float
    false_alarm_rate: float | None
    """Share of held-out volumes between blocks at which a class is decided; `None` if there are
    none."""
    onset_latency_s: float | None
    """Median time from a block's onset to the first of three correct decisions in a row; `None` if
    no block had one."""
    missed_blocks: int
    """Number of blocks without three correct decisions in a row."""
    comparison: tuple[Compared, ...] = ()
    read_outs: tuple[ReadOutFigures, ...] = ()
    """Performance of the window and the filter. The manifest's `read_out` was compiled."""
    notes: tuple[str, ...] = ()
    """Notes for the operator, for example on what few blocks cannot show."""


class Verdict(NamedTuple):
    """Whether to start the feedback, in one line for the operator."""

    outcome: Literal["go", "no-go", "not tested"]
    """`not tested`: the permutation test was not finished."""
    sentence: str

    @property
    def go(self) -> bool:
        """Whether chance is excluded."""
        return self.outcome == "go"


def verdict(metrics: Metrics, classes: Sequence[str]) -> Verdict:
    """Return go if the permutation test and the blocks' interval exclude chance, else no-go.

    Without a permutation test the result is `not tested`.
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
    """Return a p-value as text: `p <= 0.001` if no permutation was as good as the true classes."""
    # A sample counts the true arrangement once more, so that its p is never below this.
    if abs(p_value * (1 + permutations) - 1) < 1e-9:
        return f"p <= {p_value:.1g}"
    return f"p = {p_value:.2g}"


def decoder_row(metrics: Metrics) -> Compared:
    """Return the row of the decoder itself, which stands above the candidates."""
    return Compared("the decoder", "choice included", metrics.accuracy, metrics.log_loss)


DECODER_ROW_NOTE = (
    "The first row is the decoder: its choice among the candidates was repeated without the blocks "
    "that it is scored on. The rows of the candidates leave that choice out, so the best of them "
    "looks a little better than it is."
)
