"""Statistics of a run."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtdecode.journal import RecordedRun, ServiceStart, Session
from rtdecode.record.bids_tables import latency_s
from rtdecode.record.event_rows import EventRow, blocks
from rtdecode.types import STAGES, Decision, Outcome, Skipped
from rtdecode.wire import deterministic

PERCENTILES = (50, 95, 99, 100)
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Loss:
    """Consecutive volumes without a decision, for the same reason."""

    first: int
    last: int
    reason: str
    detail: str

    @property
    def volumes(self) -> int:
        """Number of volumes."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class BlockEnds:
    """The decisions at the ends of the blocks of the decoder's classes."""

    right: int
    blocks: int
    """Blocks with a decision at their end."""
    undecided: int
    """Blocks without a decision at their end."""
    mean_probability: float
    """Mean probability of the presented class; `nan` without blocks."""
    interval_95: tuple[float, float]
    """Wilson interval of the share of right blocks; blocks are assumed to be independent."""


@dataclass(frozen=True, slots=True)
class Artefacts:
    """Motion and unusable volumes during one trial type."""

    trial_type: str
    volumes: int
    mean_fd_mm: float
    mean_dvars_percent: float
    unusable: int
    """Volumes that were not used as evidence or never arrived."""


def times_s(run: RecordedRun) -> NDArray[np.float64]:
    """Return the start of each volume's acquisition, in seconds since the run's first volume."""
    tr_s = 1.0 if math.isnan(run.repetition_time_s) else run.repetition_time_s
    return np.array([_acquired_s(outcome, tr_s) for outcome in run.outcomes])


def _acquired_s(outcome: Outcome, tr_s: float) -> float:
    if isinstance(outcome, Decision) and math.isfinite(outcome.acquired_s):
        return outcome.acquired_s
    return outcome.index * tr_s


def outcomes_sha256(run: RecordedRun) -> str:
    """Return the digest of all outcomes without their times, as the service prints it."""
    digest = hashlib.sha256()
    for outcome in run.outcomes:
        digest.update(deterministic(outcome))
    return digest.hexdigest()


def service_starts(session: Session, run: RecordedRun) -> list[ServiceStart]:
    """Return the service starts that produced a run's outcomes."""
    last = run.first + len(run.outcomes) - 1
    before = [s for s in session.servings if s.sequence < run.first]
    during = [s for s in session.servings if run.first <= s.sequence < last]
    return [*before[-1:], *during]


def losses(run: RecordedRun) -> list[Loss]:
    """Return all volumes without a decision, grouped by reason if they are consecutive."""
    found: list[Loss] = []
    for outcome in run.outcomes:
        if not isinstance(outcome, Skipped):
            continue
        loss = Loss(outcome.index, outcome.index, str(outcome.reason), outcome.detail)
        if found and (found[-1].last + 1, found[-1].reason, found[-1].detail) == (
            loss.first,
            loss.reason,
            loss.detail,
        ):
            loss = Loss(found.pop().first, loss.last, loss.reason, loss.detail)
        found.append(loss)
    return found


def reasons(run: RecordedRun) -> Mapping[str, int]:
    """Return the number of volumes without a decision, by reason."""
    return Counter(str(o.reason) for o in run.outcomes if isinstance(o, Skipped))


def unusable(run: RecordedRun) -> Mapping[str, int]:
    """Return the number of volumes that were not used as evidence, by reason."""
    return Counter(why for o in run.outcomes if o.quality is not None for why in o.quality.why)


def measure(run: RecordedRun, name: str) -> NDArray[np.float64]:
    """Return one measure of quality for each volume; `nan` if it is missing."""
    values = [math.nan if o.quality is None else getattr(o.quality, name) for o in run.outcomes]
    return np.array(values, dtype=np.float64)


def latencies_ms(run: RecordedRun) -> dict[str, NDArray[np.float64]]:
    """Return the duration of each stage for the volumes that arrived live, in their order."""
    found = {}
    for stage in STAGES:
        took = np.array([latency_s(o, stage) for o in run.outcomes if isinstance(o, Decision)])
        found[stage] = 1e3 * took[np.isfinite(took)]
    return found


def block_ends(
    run: RecordedRun, events: Sequence[EventRow], lag_s: float = 0.0
) -> BlockEnds | None:
    """Compare the decision at each block's end with its class; `None` without such blocks.

    A block's decision is that of the last volume whose acquisition began before the block's end.

    Parameters
    ----------
    run
        The run with its outcomes.
    events
        The run's stimulus events.
    lag_s
        Assumed delay of the response to a block, in seconds.
    """
    known = [e for e in blocks(events) if e.trial_type in run.classes and e.duration_s]
    if not known:
        return None
    time_s = times_s(run)
    right, probabilities, undecided = 0, [], 0
    for event in known:
        end_s = event.onset_s + (event.duration_s or 0.0) + lag_s
        # A volume that begins at the end is after it; clocks differ by less than 1 ms.
        at = int(np.searchsorted(time_s, end_s - 1e-3)) - 1
        outcome = run.outcomes[at] if at >= 0 and time_s[at] >= event.onset_s else None
        if not isinstance(outcome, Decision):
            undecided += 1
            continue
        right += outcome.label == event.trial_type
        probabilities.append(outcome.probabilities[run.classes.index(event.trial_type)])
    decided = len(probabilities)
    mean = float(np.mean(probabilities)) if probabilities else math.nan
    return BlockEnds(right, decided, undecided, mean, wilson(right, decided))


def wilson(right: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share by Wilson (1927)."""
    if not of:
        return 0.0, 1.0
    share, z2 = right / of, _Z**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def artefacts(run: RecordedRun, events: Sequence[EventRow]) -> list[Artefacts]:
    """Return motion and unusable volumes for each trial type, in order of first appearance."""
    time_s = times_s(run)
    fd_mm, dvars = measure(run, "framewise_displacement"), measure(run, "dvars")
    usable = np.array([o.quality is not None and o.quality.usable for o in run.outcomes])
    found = []
    for trial_type in dict.fromkeys(event.trial_type for event in events):
        inside = np.zeros(len(time_s), bool)
        for event in events:
            if event.trial_type == trial_type and event.duration_s is not None:
                end_s = event.onset_s + event.duration_s
                inside |= (time_s >= event.onset_s) & (time_s < end_s)
        if inside.any():
            found.append(
                Artefacts(
                    trial_type,
                    int(inside.sum()),
                    mean(fd_mm[inside]),
                    mean(dvars[inside]),
                    int((inside & ~usable).sum()),
                )
            )
    return found


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the finite values; `nan` if there are none."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan
