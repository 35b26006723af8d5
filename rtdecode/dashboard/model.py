"""Computes what the page shows from what the dashboard knows; no sockets and no page."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rtdecode.dashboard.planned_blocks import Moment, moment
from rtdecode.dashboard.service_connection import ServiceView
from rtdecode.dashboard.session_folder import FolderView
from rtdecode.events import Block
from rtdecode.types import Decision, Outcome, Quality, Skipped

LOG_LINES = 60


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is known of the course of a run."""

    blocks: tuple[Block, ...] = ()
    """Planned blocks; empty if no plan is known."""
    volumes: int = 0
    """Planned number of volumes; 0 if it is not known."""
    presented: tuple[Block, ...] = ()
    """Blocks presented until now, as reported by stimulus programs."""

    def length_s(self, repetition_time_s: float) -> float:
        """Return the length of the run; infinite if it is not known."""
        if self.volumes:
            return self.volumes * repetition_time_s
        return self.blocks[-1].end_s if self.blocks else math.inf


@dataclass(frozen=True, slots=True)
class Progress:
    """The position of a run in time."""

    running: bool
    run_s: float
    """Seconds since the start of the first volume; `nan` before its outcome."""
    left_s: float
    """Time until the end of the run; infinite if it is not known."""
    next_s: float
    """Time until the next volume should be decided; negative if it is overdue, `nan` if unknown."""
    volumes: int
    """Number of volumes with an outcome."""
    of: int
    """Number of volumes in the run; 0 if it is not known."""
    moment: Moment | None
    """Position in the protocol; `None` without a protocol or outside a run."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log."""

    volume: int
    """The volume before the event; -1 before the first volume."""
    kind: str
    """`skipped`, `mark`, `notice`, `status`, `done` or `refused`."""
    text: str


def silent_s(view: ServiceView, now_ns: int) -> float:
    """Return the time since the last message of the service."""
    return max(0.0, (now_ns - view.heard_ns) / 1e9)


def progress(view: ServiceView, plan: RunPlan, now_ns: int) -> Progress:
    """Return the position of the run in time.

    Parameters
    ----------
    view
        The view of the service.
    plan
        The plan of the run.
    now_ns
        This computer's monotonic clock.
    """
    status = view.status
    running = status is not None and status.state in ("calibrating", "running", "paused")
    repetition_s = status.repetition_time_s if status and status.repetition_time_s else math.nan
    index = view.outcomes[-1].index if view.outcomes else -1
    since_s = max(0.0, (now_ns - view.arrived_ns) / 1e9)
    latency_s = _latency_s(view.outcomes)
    run_s, next_s = math.nan, math.nan
    if index >= 0:
        # The acquisition of the newest volume ended shortly before its decision.
        run_s = (index + 1) * repetition_s
        if running:
            run_s += min(latency_s + since_s, 2 * repetition_s)
            next_s = repetition_s - since_s
    length_s = plan.length_s(repetition_s)
    if not plan.volumes and (index + 1) * repetition_s > length_s:
        length_s = math.inf  # the run continues after the last block for an unknown time
    left_s = length_s - (0.0 if math.isnan(run_s) else run_s)
    left_s = math.inf if math.isnan(left_s) else left_s
    now = moment(plan.blocks, run_s, length_s) if plan.blocks and running and run_s >= 0 else None
    of = plan.volumes
    if not of and math.isfinite(length_s) and repetition_s > 0:
        of = math.ceil(length_s / repetition_s)
    return Progress(running, run_s, max(0.0, left_s), next_s, index + 1, of, now)


def newest_decision(outcomes: Sequence[Outcome]) -> Decision | None:
    """Return the newest decision, if there is one."""
    return next((o for o in reversed(outcomes) if isinstance(o, Decision)), None)


def decision_age_s(view: ServiceView, now_ns: int, *, same_computer: bool) -> float:
    """Return the age of the newest decision; `nan` without a decision.

    Parameters
    ----------
    view
        The view of the service.
    now_ns
        This computer's monotonic clock.
    same_computer
        Whether the service uses the same monotonic clock. Otherwise the age is since the arrival.
    """
    decision = newest_decision(view.outcomes)
    if decision is None:
        return math.nan
    recorded_ns = decision.stamps.recorded_ns
    if same_computer and 0 < recorded_ns <= now_ns:
        return (now_ns - recorded_ns) / 1e9
    behind = view.outcomes[-1].index - decision.index
    status = view.status
    repetition_s = status.repetition_time_s if status and status.repetition_time_s else 0.0
    return (now_ns - view.arrived_ns) / 1e9 + behind * repetition_s


def skips(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Return the number of volumes without a decision, by reason."""
    return Counter(str(o.reason) for o in outcomes if isinstance(o, Skipped))


def unused(outcomes: Sequence[Outcome]) -> Counter[str]:
    """Return the number of decided volumes that are not usable as evidence, by reason."""
    return Counter(w for o in outcomes if isinstance(o, Decision) for w in o.quality.why)


def newest_quality(outcomes: Sequence[Outcome]) -> Quality | None:
    """Return the quality of the newest volume that has one."""
    return next((o.quality for o in reversed(outcomes) if o.quality is not None), None)


def log_lines(view: ServiceView, folder: FolderView) -> list[LogLine]:
    """Return the lines of the log, the newest first."""
    lines = _skipped_lines(view.outcomes)
    lines += [LogLine(n.volume, n.kind, n.text) for n in view.notes]
    last = view.outcomes[-1].index if view.outcomes else -1
    before = view.sequence - len(view.outcomes)
    for run, sequence, marked_utc, text in folder.remarks.marks:
        if run == view.run:
            marked = datetime.fromisoformat(marked_utc).astimezone().strftime("%H:%M:%S")
            position = sequence - before - 1
            is_known = 0 <= position < len(view.outcomes)
            volume = view.outcomes[position].index if is_known else min(position, last)
            lines.append(LogLine(volume, "mark", f"{marked}  {text}"))
    texts = {line.text for line in lines}
    lines += [
        LogLine(-1, "notice", text)
        for run, _, text in folder.remarks.notices
        if run == view.run and text not in texts
    ]
    # The sort is stable: lines of one volume stay in the order of their kinds.
    lines.sort(key=lambda line: line.volume)
    return lines[::-1][:LOG_LINES]


def _skipped_lines(outcomes: Sequence[Outcome]) -> list[LogLine]:
    """Return one line for each sequence of volumes that were skipped for the same reason."""
    sequences: list[tuple[Skipped, Skipped]] = []
    last: Outcome | None = None
    for outcome in outcomes:
        if isinstance(outcome, Skipped):
            if isinstance(last, Skipped) and last.reason == outcome.reason:
                sequences[-1] = (sequences[-1][0], outcome)
            else:
                sequences.append((outcome, outcome))
        last = outcome
    return [LogLine(end.index, "skipped", _sequence_text(first, end)) for first, end in sequences]


def _sequence_text(first: Skipped, end: Skipped) -> str:
    volumes = ""
    if end is not first:
        volumes = f" (to volume {end.index}, {end.index - first.index + 1} volumes)"
    return f"{first.reason}{volumes}" + (f": {first.detail}" if first.detail else "")


def _latency_s(outcomes: Sequence[Outcome]) -> float:
    stamps = outcomes[-1].stamps if outcomes else None
    if stamps is None or not stamps.received_ns or not stamps.recorded_ns:
        return 0.0
    return max(0.0, (stamps.recorded_ns - stamps.received_ns) / 1e9)
