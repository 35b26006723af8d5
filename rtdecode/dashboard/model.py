"""What is shown, from what is known: no sockets, no page."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rtdecode.dashboard.planned_blocks import Moment, moment
from rtdecode.dashboard.service_connection import ServiceView
from rtdecode.dashboard.session_folder import Seen
from rtdecode.events import Block
from rtdecode.types import Decision, Outcome, Quality, Skipped

STALE_S = 1.5
"""After so much silence what is shown is old. The service is asked every 0.4 s."""
LOG_LINES = 60


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is known of a run before it begins."""

    blocks: tuple[Block, ...] = ()
    volumes: int = 0
    """0: not known."""
    told: tuple[Block, ...] = ()
    """What was presented so far, as stimulus programs told it."""

    def length_s(self, repetition_time_s: float) -> float:
        """Return how long a run takes; infinite where nobody said."""
        if self.volumes:
            return self.volumes * repetition_time_s
        return self.blocks[-1].end_s if self.blocks else math.inf


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is in time."""

    running: bool
    run_s: float
    """Seconds since the first volume began; `nan` before it came."""
    left_s: float
    """Until the run's known end; infinite where that is not known."""
    next_s: float
    """Until the next volume should be decided; negative where it is overdue, `nan` if none is."""
    volumes: int
    """Volumes that have an outcome."""
    of: int
    """Volumes in the run; 0 where that is not known."""
    moment: Moment | None
    """Where the task is; `None` without a protocol, or outside a run."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log."""

    volume: int
    """After which volume; -1 before the first."""
    kind: str
    """`skipped`, `mark`, `notice`, `status`, `done` or `refused`."""
    text: str


def silent_s(snapshot: ServiceView, now_ns: int) -> float:
    """Return for how long nothing was heard of the service."""
    return max(0.0, (now_ns - snapshot.heard_ns) / 1e9)


def progress(snapshot: ServiceView, plan: RunPlan, now_ns: int) -> Progress:
    """Return where the run is in time.

    Parameters
    ----------
    snapshot
        What is known of the service.
    plan
        What is known of the run.
    now_ns
        This computer's monotonic clock.
    """
    status = snapshot.status
    running = status is not None and status.state in ("calibrating", "running", "paused")
    repetition_s = status.repetition_time_s if status and status.repetition_time_s else math.nan
    index = snapshot.outcomes[-1].index if snapshot.outcomes else -1
    since_s = max(0.0, (now_ns - snapshot.arrived_ns) / 1e9)
    decided_after_s = _took_s(snapshot.outcomes)
    run_s, next_s = math.nan, math.nan
    if index >= 0:
        # The newest volume ended when it had been acquired, a little before it was decided.
        run_s = (index + 1) * repetition_s
        if running:
            run_s += min(decided_after_s + since_s, 2 * repetition_s)
            next_s = repetition_s - since_s
    length_s = plan.length_s(repetition_s)
    if not plan.volumes and (index + 1) * repetition_s > length_s:
        length_s = math.inf  # it goes on after the last block, who knows for how long
    left_s = length_s - (0.0 if math.isnan(run_s) else run_s)
    left_s = math.inf if math.isnan(left_s) else left_s
    at = moment(plan.blocks, run_s, length_s) if plan.blocks and running and run_s >= 0 else None
    of = plan.volumes
    if not of and math.isfinite(length_s) and repetition_s > 0:
        of = math.ceil(length_s / repetition_s)
    return Progress(running, run_s, max(0.0, left_s), next_s, index + 1, of, at)


def newest_decision(outcomes: Sequence[Outcome]) -> Decision | None:
    """Return the last decision, if there is one."""
    return next((o for o in reversed(outcomes) if isinstance(o, Decision)), None)


def decision_age_s(snapshot: ServiceView, now_ns: int, *, same_computer: bool) -> float:
    """Return how long ago the newest decision was recorded; `nan` where there is none.

    Parameters
    ----------
    snapshot
        What is known of the service.
    now_ns
        This computer's monotonic clock.
    same_computer
        Whether the service's stamps are of the same clock. Otherwise the arrival counts.
    """
    decision = newest_decision(snapshot.outcomes)
    if decision is None:
        return math.nan
    recorded_ns = decision.stamps.recorded_ns
    if same_computer and 0 < recorded_ns <= now_ns:
        return (now_ns - recorded_ns) / 1e9
    behind = snapshot.outcomes[-1].index - decision.index
    status = snapshot.status
    repetition_s = status.repetition_time_s if status and status.repetition_time_s else 0.0
    return (now_ns - snapshot.arrived_ns) / 1e9 + behind * repetition_s


def skips(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Return how many volumes have no decision, by reason."""
    return Counter(str(o.reason) for o in outcomes if isinstance(o, Skipped))


def unused(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Return how many decided volumes are no evidence themselves, by reason."""
    return Counter(w for o in outcomes if isinstance(o, Decision) for w in o.quality.why)


def newest_quality(outcomes: Sequence[Outcome]) -> Quality | None:
    """Return the quality of the newest volume that was read, if there is one."""
    return next((o.quality for o in reversed(outcomes) if o.quality is not None), None)


def log_lines(snapshot: ServiceView, seen: Seen) -> list[LogLine]:
    """Return what happened, the newest first."""
    lines = _skipped_lines(snapshot.outcomes)
    lines += [LogLine(n.volume, n.kind, n.text) for n in snapshot.notes]
    last = snapshot.outcomes[-1].index if snapshot.outcomes else -1
    before = snapshot.sequence - len(snapshot.outcomes)
    for run, sequence, marked_utc, text in seen.remarks.marks:
        if run == snapshot.run:
            at = datetime.fromisoformat(marked_utc).astimezone().strftime("%H:%M:%S")
            position = sequence - before - 1
            known = 0 <= position < len(snapshot.outcomes)
            volume = snapshot.outcomes[position].index if known else min(position, last)
            lines.append(LogLine(volume, "mark", f"{at}  {text}"))
    told = {line.text for line in lines}
    lines += [
        LogLine(-1, "notice", text)
        for run, _, text in seen.remarks.notices
        if run == snapshot.run and text not in told
    ]
    lines.sort(key=lambda line: line.volume)  # stable: within a volume in the order of the kinds
    return lines[::-1][:LOG_LINES]


def _skipped_lines(outcomes: Sequence[Outcome]) -> list[LogLine]:
    """Return one line for each stretch of volumes that were skipped for one reason."""
    stretches: list[tuple[Skipped, Skipped]] = []
    last: Outcome | None = None
    for outcome in outcomes:
        if isinstance(outcome, Skipped):
            same = isinstance(last, Skipped) and last.reason == outcome.reason
            if same:
                stretches[-1] = (stretches[-1][0], outcome)
            else:
                stretches.append((outcome, outcome))
        last = outcome
    return [
        LogLine(
            end.index,
            "skipped",
            f"{first.reason}"
            + (f" (to volume {end.index}, {end.index - first.index + 1} volumes)"
               if end is not first else "")
            + (f": {first.detail}" if first.detail else ""),
        )
        for first, end in stretches
    ]  # fmt: skip


def _took_s(outcomes: Sequence[Outcome]) -> float:
    stamps = outcomes[-1].stamps if outcomes else None
    if stamps is None or not stamps.received_ns or not stamps.recorded_ns:
        return 0.0
    return max(0.0, (stamps.recorded_ns - stamps.received_ns) / 1e9)
