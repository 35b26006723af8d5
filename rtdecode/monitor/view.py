"""Draws one frame of the monitor; no sockets and no clock."""

import math
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from rich.align import Align
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rtdecode.monitor.glyphs import bar, shade, sparkline
from rtdecode.palette import class_colour
from rtdecode.types import FD_MARKS_MM, NONE, Decision, Outcome, Skipped
from rtdecode.wire import Numbered, StageLatency, Status

HISTORY = 400
_NAME = 22
_FRAME_LINES = 10
"""Lines of a frame without those of its classes."""
_MOTION_STYLES = ((0.0, "green"), (FD_MARKS_MM[0], "yellow"), (FD_MARKS_MM[1], "red"))
"""Styles of framewise displacements above the limits, mm."""
_STATE_STYLES = {
    "running": "bold green",
    "ended": "bold cyan",
    "stopped": "bold yellow",
    "faulted": "bold white on red",
}


@dataclass(slots=True)
class MonitorState:
    """What the monitor knows of the service."""

    status: Status | None = None
    decision: Decision | None = None
    """The newest decision."""
    outcomes: deque[Outcome] = field(default_factory=lambda: deque(maxlen=HISTORY))
    latencies_ms: list[float] = field(default_factory=list)
    skip_counts: Counter[str] = field(default_factory=Counter)
    """Number of skipped volumes by reason."""
    decisions: int = 0
    session: str = ""
    run: int = 0

    def add(self, numbered: Numbered) -> None:
        """Add an outcome; the outcomes of an earlier run are dropped."""
        if (numbered.session, numbered.run) != (self.session, self.run):
            self.session, self.run = numbered.session, numbered.run
            self.outcomes.clear()
            self.latencies_ms.clear()
            self.skip_counts.clear()
            self.decisions = 0
            self.decision = None
        outcome = numbered.outcome
        self.outcomes.append(outcome)
        if isinstance(outcome, Skipped):
            self.skip_counts[str(outcome.reason)] += 1
            return
        self.decision = outcome
        self.decisions += 1
        stamps = outcome.stamps
        if stamps.recorded_ns and stamps.received_ns and stamps.journalled_ns:
            self.latencies_ms.append((stamps.recorded_ns - stamps.received_ns) / 1e6)


def render(
    session: MonitorState, width: int = 100, height: int | None = None, silent_s: float = 0.0
) -> RenderableType:
    """Return one frame.

    Parameters
    ----------
    session
        What the monitor knows.
    width
        Width of the frame, cells.
    height
        Largest height, lines; if it is too small for all classes, the likeliest are shown.
    silent_s
        Time since the last outcome.
    """
    inner = width - 4
    classes = _classes(session)
    lines = len(classes) if height is None else max(2, (height - _FRAME_LINES) // 2)
    shown = _likeliest(session, len(classes), lines)
    parts: list[RenderableType] = [_decision(session, classes, shown, inner)]
    if classes and session.outcomes:
        parts += [_title("evidence over time", inner), _timeline(session, classes, shown, inner)]
    parts += [_title("head and timing", inner), _measures(session, inner)]
    return Panel(
        Group(*parts),
        title=_heading(session),
        title_align="left",
        subtitle=_freshness(session, silent_s),
        subtitle_align="right",
        border_style="grey42",
        width=width,
        padding=(0, 1),
    )


def _classes(session: MonitorState) -> tuple[str, ...]:
    if session.status is not None and session.status.classes:
        return session.status.classes
    if session.decision is None:
        return ()
    return tuple(f"class {n + 1}" for n in range(len(session.decision.probabilities)))


def _likeliest(session: MonitorState, classes: int, lines: int) -> list[int]:
    """Return the recently likeliest classes that fit into the lines."""
    if lines >= classes:
        return list(range(classes))
    decisions = [o for o in session.outcomes if isinstance(o, Decision)]
    recent = np.mean([d.probabilities for d in decisions[-30:]] or [(0.0,) * classes], axis=0)
    if session.decision is not None:
        recent[int(np.argmax(session.decision.probabilities))] = 1.0
    return sorted(int(n) for n in np.argsort(-recent, kind="stable")[:lines])


def _heading(session: MonitorState) -> Text:
    text = Text(" rtdecode ", "bold")
    status = session.status
    if status is None:
        return text.append("waiting for a service ", "yellow")
    text.append(f"session {status.session}  run {status.run}  ", "grey70")
    text.append(f" {status.state} ", _STATE_STYLES.get(status.state, "bold"))
    text.append(f"  bundle {status.bundle} ", "grey70")
    return text.append(f"on {status.provider} " if status.provider else "", "grey70")


def _freshness(session: MonitorState, silent_s: float) -> Text:
    status = session.status
    if not session.outcomes:
        return Text(" no outcome yet ", "grey70")
    text = Text(f" volume {session.outcomes[-1].index} ", "bold")
    repetition_s = status.repetition_time_s if status and status.repetition_time_s else math.inf
    if status is not None and status.state != "running":
        return text.append("· run ended ", "grey70")
    if silent_s > 3 * repetition_s:
        return text.append(f"· STALE: nothing for {silent_s:.0f} s ", "bold white on red")
    return text.append(f"· {silent_s:.1f} s ago ", "grey70")


def _title(text: str, width: int) -> Text:
    line = Text(f"{text} ", "grey58")
    return line.append("─" * max(0, width - len(text) - 1), "grey27")


def _decision(
    session: MonitorState, classes: tuple[str, ...], shown: list[int], width: int
) -> RenderableType:
    decision = session.decision
    if decision is None:
        latest = session.outcomes[-1] if session.outcomes else None
        reason = f"{latest.reason}: {latest.detail}" if isinstance(latest, Skipped) else "waiting"
        return Align.center(Text(f"\nno decision yet\n{reason}\n", "grey70", justify="center"))
    stale = session.outcomes[-1] is not decision
    best = int(np.argmax(decision.probabilities)) if decision.label != NONE else -1
    table = Table.grid(padding=(0, 1))
    table.add_column(width=_NAME, no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(width=6, justify="right", no_wrap=True)
    for n in shown:
        name, probability, chosen = classes[n], decision.probabilities[n], n == best
        style = "grey50" if stale else f"bold {class_colour(n)}" if chosen else "grey74"
        table.add_row(
            Text(("▶ " if chosen else "  ") + name, style, overflow="ellipsis"),
            bar(probability, width - _NAME - 10, "grey42" if stale else class_colour(n)),
            Text(f"{probability:6.1%}", style),
        )
    note = Text()
    latest = session.outcomes[-1]
    if isinstance(latest, Skipped):
        note.append(f" {latest.reason} ", "black on yellow")
        note.append(f" volume {latest.index} {latest.detail}", "yellow")
    else:
        if decision.label == NONE:
            note.append(" none ", "black on grey70").append(
                " no class is likely enough   ", "grey70"
            )
        note.append(f"evidence of {decision.window_volumes} volumes", "grey58")
        fast = int(np.argmax(decision.fast))
        note.append(f"   fast: {classes[fast]} {decision.fast[fast]:.0%}", "grey58")
        if not decision.quality.usable:
            note.append(f"   not counted: {', '.join(decision.quality.why)}", "yellow")
    note.truncate(width, overflow="ellipsis")
    return Group(table, note)


def _timeline(
    session: MonitorState, classes: tuple[str, ...], shown: list[int], width: int
) -> RenderableType:
    columns = width - _NAME - 1
    outcomes = list(session.outcomes)[-columns:]
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_NAME, no_wrap=True)
    table.add_column(no_wrap=True)
    for n in shown:
        row, name = Text(), classes[n]
        for outcome in outcomes:
            if isinstance(outcome, Skipped):
                row.append("·", "grey35")
            elif outcome.label == name:
                row.append("━", f"bold #ffffff {shade(outcome.probabilities[n], class_colour(n))}")
            else:
                row.append(" ", shade(outcome.probabilities[n], class_colour(n)))
        table.add_row(Text(f"  {name}", "grey74", overflow="ellipsis"), row)
    return table


def _measures(session: MonitorState, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_NAME, no_wrap=True)
    table.add_column(no_wrap=True)
    spark = max(8, width - _NAME - 38)
    displacements = [
        o.quality.framewise_displacement if o.quality is not None else math.nan
        for o in session.outcomes
    ]
    now = next((v for v in reversed(displacements) if not math.isnan(v)), math.nan)
    line = sparkline(
        displacements, spark, max(0.5, np.nanmax([0.0, *displacements])), _MOTION_STYLES
    )
    line.append(f"  {_number(now, '.2f')} mm", "bold").append(" framewise displ.", "grey58")
    table.add_row(Text("  motion", "grey74"), line)
    latencies = session.latencies_ms
    percentiles = np.percentile(latencies, (50, 95, 99)) if latencies else (math.nan,) * 3
    status = session.status
    limit_ms = 1e3 * (status.repetition_time_s if status and status.repetition_time_s else 1e9)
    styles = ((0.0, "green"), (0.5 * limit_ms, "yellow"), (limit_ms, "red"))
    line = sparkline(latencies, spark, max([1.0, *latencies[-spark:]]), styles)
    for value, name in zip(percentiles, ("p50", "p95", "p99"), strict=True):
        line.append(f"  {_number(value, '.0f')} ms", "bold").append(f" {name}", "grey58")
    table.add_row(Text("  latency", "grey74"), line)
    if status is not None and status.latency:
        table.add_row(Text("  p95 of stages", "grey74"), _stages(status.latency))
    counts = Text(f"{session.decisions}", "bold")
    counts.append(" decided", "grey58")
    for reason, number in sorted(session.skip_counts.items()):
        counts.append(f"   {number}", "bold").append(f" {reason}", "grey58")
    if status is not None:
        counts.append(f"   {status.objects}", "bold").append(" objects received", "grey58")
        if status.unreadable:
            counts.append(f"   {status.unreadable} unreadable", "bold yellow")
        if status.left_out:
            counts.append(f"   {status.left_out} left out", "yellow")
        if status.late:
            counts.append(f"   {status.late} late", "yellow")
        if status.conflicts:
            counts.append(f"   {status.conflicts} in conflict", "bold red")
    table.add_row(Text("  volumes", "grey74"), counts)
    if status is not None and status.detail:
        style = "bold red" if status.state == "faulted" else "yellow"
        table.add_row(Text("  note", "grey74"), Text(status.detail, style, overflow="fold"))
    return table


def _stages(latency: dict[str, StageLatency]) -> Text:
    """Return the 95th percentiles of the stages, the slowest first; the terminal cuts the line."""
    line = Text(overflow="ellipsis", no_wrap=True)
    stages = [(times.p95_ms, stage) for stage, times in latency.items() if stage != "total"]
    for p95_ms, stage in sorted(stages, reverse=True):
        line.append(f"{stage} ", "grey58").append(f"{p95_ms:.0f}  ", "bold")
    return line


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
