"""Fit the read-outs, which turn evidence into probabilities and decisions, on held-out blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibration.data.labels import Labels
from calibration.decoders.evaluate import filtered, read_out_figures, windows
from calibration.decoders.head import log_softmax
from calibration.decoders.temperature import TEMPERATURES, loss_per_block
from rtdecode.metrics import ReadOutFigures, ReadOutKind
from rtdecode.types import Bool, Float64

WINDOWS_S = (2.0, 12.0)
"""Shortest and longest decision window, seconds."""
DWELLS_S = (4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 40.0, 60.0)
"""Dwell times of the filter, seconds."""
KINDS: tuple[ReadOutKind, ...] = ("window", "filter")
RULE = "the filter where its log-loss per held-out block is below the window's, else the window"
FAST_RETENTION = 2 / 3
"""Retention of the fast read-out: a memory of three volumes, for a continuous display (models
report, section 4.3)."""
MAX_FALSE_ALARMS = 0.1
"""Accepted false-alarm rate during rest."""
MAX_LOST = 0.2
"""Largest share of correct task decisions that the threshold may reject."""
MIN_NET_REJECTION = 0.1
"""Smallest useful difference between the rejected shares of rest and of correct decisions."""
MIN_REST = 8
"""Volumes of pure rest that the threshold needs."""

ReadOutPreference = Literal["best", "window", "filter"]


@dataclass(frozen=True, slots=True, eq=False)
class DecisionReadOut:
    """A fitted read-out: window or filter."""

    kind: ReadOutKind
    name: str
    """Name with the window or the dwell time."""
    window_volumes: int
    """Length of the window, or the dwell time in volumes."""
    dwell_s: float | None
    """None for a window."""
    temperature: float
    none_threshold: float
    log_probabilities: Float64
    """(n, K) log-probabilities of all volumes. For each block, window or dwell time and temperature
    are fitted to the other blocks."""
    loss: float
    """Log-loss of these probabilities, averaged over blocks."""
    notes: tuple[str, ...]

    def figures(self, labels: Labels) -> ReadOutFigures:
        """Return the read-out's performance for the manifest."""
        return read_out_figures(
            self.name, self.kind, self.log_probabilities, labels, self.none_threshold
        )


@dataclass(frozen=True, slots=True, eq=False)
class ReadOuts:
    """The fitted read-outs."""

    chosen: DecisionReadOut
    """The read-out to compile."""
    tried: tuple[DecisionReadOut, ...]
    """Window and filter."""
    reason: str
    """Reason for the choice."""
    fast_retention: float = FAST_RETENTION


def fit_read_outs(
    evidence: Float64,
    labels: Labels,
    usable: Bool,
    repetition_time_s: float,
    preference: ReadOutPreference = "best",
) -> ReadOuts:
    """Fit window and filter to held-out evidence, and choose between them.

    Parameters
    ----------
    evidence
        (n, K) held-out log-probabilities of all volumes.
    labels, usable
        Labels and usability of the same volumes.
    repetition_time_s
        Seconds between volumes.
    preference
        The read-out to choose; `best` applies `RULE`.
    """
    tried = tuple(fit_read_out(kind, evidence, labels, usable, repetition_time_s) for kind in KINDS)
    losses = ", ".join(f"{one.name} {one.loss:.3f}" for one in tried)
    if preference == "best":
        chosen = min(tried, key=lambda one: one.loss)  # the first, if equal
        return ReadOuts(chosen, tried, f"log-loss per held-out block: {losses}")
    (chosen,) = (one for one in tried if one.kind == preference)
    return ReadOuts(chosen, tried, f"as asked for (log-loss per held-out block: {losses})")


def fit_read_out(
    kind: ReadOutKind,
    evidence: Float64,
    labels: Labels,
    usable: Bool,
    repetition_time_s: float,
) -> DecisionReadOut:
    """Fit window or dwell time, temperature and threshold to held-out evidence.

    Parameters
    ----------
    kind
        Which read-out.
    evidence, labels, usable, repetition_time_s
        As for `fit_read_outs`.

    Notes
    -----
    Each window (or dwell time) has the temperature (Guo et al. 2017) with the lowest log-loss per
    block. The shortest one is chosen whose log-loss is within one standard error, over blocks, of
    the best: few blocks cannot distinguish long windows, and long windows are slow. Each block is
    evaluated with the choice of the other blocks. The threshold is the lowest at which one in ten
    volumes of pure rest is decided, otherwise the one with the largest difference between rejected
    rest and rejected correct decisions. Pure rest needs pauses longer than the window or the dwell
    time.
    """
    spans, read = (
        _window(evidence, labels, usable, repetition_time_s)
        if kind == "window"
        else _filter(evidence, labels, usable, repetition_time_s)
    )
    # Temperatures nearest to 1 first: they are preferred if losses are equal.
    temperatures = np.array(sorted(TEMPERATURES, key=lambda t: (abs(np.log(t)), t)))
    losses = np.stack([loss_per_block(read(span, temperatures), labels) for span in spans])
    losses = losses.round(9)  # so that ties give the same result on every machine
    place, temperature = _best(losses)
    served = read(spans[place], temperatures[[temperature]])[0]
    nearest, held_out_losses = _nearest_block(labels), np.zeros(losses.shape[-1])
    others = [_best(np.delete(losses, block, axis=-1)) for block in range(losses.shape[-1])]
    for setting in set(others):
        blocks = [block for block, other in enumerate(others) if other == setting]
        held_out_losses[blocks] = losses[(*setting, blocks)]
        rows = np.isin(nearest, blocks)
        served[rows] = read(spans[setting[0]], temperatures[[setting[1]]])[0][rows]
    dwell_s = float(spans[place]) if kind == "filter" else None
    volumes = int(spans[place])
    if dwell_s is not None:
        volumes = max(1, round(dwell_s / repetition_time_s))
    threshold, why = _threshold(served, labels, usable, volumes)
    return DecisionReadOut(
        kind=kind,
        name=f"window of {volumes * repetition_time_s:.3g} s"
        if dwell_s is None
        else f"filter, dwell {dwell_s:g} s",
        window_volumes=volumes,
        dwell_s=dwell_s,
        temperature=float(temperatures[temperature]),
        none_threshold=threshold,
        log_probabilities=served,
        loss=float(held_out_losses.mean()),
        notes=(why,),
    )


def _best(losses: Float64) -> tuple[int, int]:
    """Return the best span and temperature from their losses (spans, temperatures, blocks)."""
    blocks = losses.shape[-1]
    best_temperatures = losses.mean(axis=-1).round(9).argmin(axis=1)
    scaled = losses[np.arange(len(losses)), best_temperatures]
    worse = scaled - scaled[scaled.mean(axis=-1).round(9).argmin()]
    error = worse.std(axis=-1, ddof=1) / np.sqrt(blocks) if blocks > 1 else np.zeros(len(worse))
    place = int(np.flatnonzero(worse.mean(axis=-1) <= error)[0])
    return place, int(best_temperatures[place])


Read = Callable[[float, Float64], Float64]
"""Returns the (m, n, K) log-probabilities along the runs for a window in volumes or a dwell time in
seconds, and (m,) temperatures."""


def _window(
    evidence: Float64, labels: Labels, usable: Bool, repetition_time_s: float
) -> tuple[tuple[float, ...], Read]:
    shortest, longest = (max(1, round(s / repetition_time_s)) for s in WINDOWS_S)

    def read(length: float, temperatures: Float64) -> Float64:
        # Scaling by the temperature and averaging commute, except for a constant.
        mean = windows(evidence, labels, usable, int(length))
        return log_softmax(mean / temperatures[:, None, None])

    return tuple(range(shortest, longest + 1)), read


def _filter(
    evidence: Float64, labels: Labels, usable: Bool, repetition_time_s: float
) -> tuple[tuple[float, ...], Read]:
    def read(dwell_s: float, temperatures: Float64) -> Float64:
        scaled = evidence / temperatures[:, None, None]
        return filtered(scaled, labels, usable, dwell_s / repetition_time_s)

    return DWELLS_S, read


def apply_read_out(
    read_out: DecisionReadOut,
    evidence: Float64,
    labels: Labels,
    usable: Bool,
    repetition_time_s: float,
) -> Float64:
    """Return the log-probabilities of a fitted read-out along the runs, (n, K).

    Parameters
    ----------
    read_out
        Window or filter.
    evidence, labels, usable, repetition_time_s
        As for `fit_read_outs`.
    """
    scaled = evidence / read_out.temperature
    if read_out.dwell_s is None:
        return windows(scaled, labels, usable, read_out.window_volumes)
    return filtered(scaled, labels, usable, read_out.dwell_s / repetition_time_s)


def _nearest_block(labels: Labels) -> NDArray[np.int64]:
    """Return the number of the nearest block among those with examples, (n,), or -1."""
    numbers = np.unique(labels.block[labels.chosen])
    nearest = np.full(labels.label.shape, -1, dtype=np.int64)
    for run in np.unique(labels.run):
        here = np.flatnonzero(labels.run == run)
        examples = here[labels.chosen[here]]
        if len(examples):
            apart_s = np.abs(labels.acquired_s[here, None] - labels.acquired_s[None, examples])
            of = labels.block[examples[apart_s.argmin(axis=1)]]
            nearest[here] = np.searchsorted(numbers, of)
    return nearest


def _threshold(
    served: Float64, labels: Labels, usable: Bool, window_volumes: int
) -> tuple[float, str]:
    pure = _pure_rest(labels, window_volumes) & usable
    if int(pure.sum()) < MIN_REST:
        return 0.0, (
            "no threshold for none: the pauses are shorter than the time that a decision looks "
            "back, so what the decoder says of rest is not known"
        )
    confidence = np.exp(served.max(axis=1))
    right = confidence[labels.chosen & (served.argmax(axis=1) == labels.label)]
    best = (MIN_NET_REJECTION, 0.0, 1.0, 0.0)
    for threshold in np.linspace(1 / labels.n_classes, 1.0, 200)[:-1]:
        alarms, lost = (confidence[pure] >= threshold).mean(), (right < threshold).mean()
        if lost > MAX_LOST:
            break
        if 1 - alarms - lost > best[0]:
            best = (float(1 - alarms - lost), float(threshold), float(alarms), float(lost))
        if alarms <= MAX_FALSE_ALARMS:
            break
    _, threshold, alarms, lost = best
    if threshold == 0:
        return 0.0, "no threshold for none: rest looks to the decoder as sure as the task does"
    return threshold, (
        f"none below {threshold:.2f}: {alarms:.0%} of {int(pure.sum())} volumes of pure rest are "
        f"decided all the same, and {lost:.0%} of right decisions in the task are lost"
    )


def _pure_rest(labels: Labels, window_volumes: int) -> Bool:
    """Return the volumes whose whole decision window lies in rest, (n,)."""
    pure = labels.rest.copy()
    for back in range(1, window_volumes):
        pure[back:] &= labels.rest[:-back] & (labels.run[back:] == labels.run[:-back])
        pure[:back] = False
    return pure
