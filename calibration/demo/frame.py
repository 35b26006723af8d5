"""One frame of the demo: decisions next to the true states, without sockets, clock or terminal."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from calibration.demo.feedback_report import BlockResult, DemoPlan, block_results
from rtdecode.monitor.glyphs import bar, shade, sparkline
from rtdecode.palette import class_colour
from rtdecode.types import NONE, Decision, Outcome, Skipped

NAME = 12
"""Width of the column of names, cells."""
_REST = "on #1b1d20"
_MOTION_STYLES = ((0.0, "green"), (0.2, "yellow"), (0.5, "red"))
"""Framewise displacement in mm: the usual lenient and strict limits."""


def frame(plan: DemoPlan, outcomes: Sequence[Outcome], width: int = 100) -> RenderableType:
    """Return a picture of the run until now.

    Parameters
    ----------
    plan
        The run's blocks.
    outcomes
        Outcomes until now, in order from the first volume.
    width
        Width of the picture, cells.
    """
    inner = width - 4
    results = block_results(plan, outcomes)
    parts: list[RenderableType] = [
        _now(plan, outcomes, inner),
        Text(),
        _rule("decisions and true states", inner),
        *_rounds(plan, outcomes, results, inner),
        _explanation(plan),
        Text(),
        _rule("head and timing", inner),
        _measures(outcomes, inner),
        _score(results, plan, inner),
    ]
    at_s = len(outcomes) * plan.repetition_time_s
    return Panel(
        Group(*parts),
        title=Text.assemble(
            (" rtdecode demo ", "bold"), ("a simulated participant's feedback run ", "grey70")
        ),
        title_align="left",
        subtitle=Text(f" volume {len(outcomes)} of {plan.volumes} · {at_s:.0f} s ", "grey70"),
        subtitle_align="right",
        border_style="grey42",
        width=width,
        padding=(0, 1),
    )


def expected(plan: DemoPlan) -> list[str]:
    """Return the expected state at each volume, '' for rest."""
    truth = [""] * plan.volumes
    for block in plan.blocks:
        for index in plan.block_volumes(block):
            truth[index] = block.trial_type
    return truth


def _rule(text: str, width: int) -> Text:
    line = Text(f"{text} ", "grey58")
    return line.append("─" * max(0, width - len(text) - 1), "grey27")


def _now(plan: DemoPlan, outcomes: Sequence[Outcome], width: int) -> RenderableType:
    """Return the truth and the probabilities at the newest volume."""
    truth = expected(plan)[len(outcomes) - 1] if outcomes else ""
    latest = outcomes[-1] if outcomes else None
    table = Table.grid(padding=(0, 1))
    table.add_column(width=NAME, no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(width=5, justify="right", no_wrap=True)
    for number, name in enumerate(plan.classes):
        shown = name == truth
        probability = latest.probabilities[number] if isinstance(latest, Decision) else 0.0
        style = f"bold {class_colour(number)}" if shown else "grey66"
        table.add_row(
            Text(("● " if shown else "  ") + _plain(name), style, overflow="ellipsis"),
            bar(probability, width - NAME - 8, class_colour(number)),
            Text(f"{probability:5.0%}", style),
        )
    note = Text("● is the true state", "grey58") if truth else Text("rest", "grey58")
    if isinstance(latest, Skipped):
        note = Text(f"no decision yet: {latest.reason}", "yellow")
    return Group(table, note)


def _rounds(
    plan: DemoPlan, outcomes: Sequence[Outcome], results: Sequence[BlockResult], width: int
) -> list[RenderableType]:
    """Return the run in rows, each with one block of every state."""
    truth = expected(plan)
    per_row = len(plan.classes)
    starts = [plan.block_volumes(block).start for block in plan.blocks[::per_row]]
    ends = [*starts[1:], plan.volumes]
    longest = max(end - start for start, end in zip(starts, ends, strict=True))
    step = math.ceil(longest / max(8, width - NAME - 1))
    rows: list[RenderableType] = []
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        of_row = range(row * per_row, min((row + 1) * per_row, len(plan.blocks)))
        places = [plan.block_volumes(plan.blocks[n]) for n in of_row]
        table = Table.grid(padding=(0, 1, 0, 0))
        table.add_column(width=NAME, no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_row(Text("truth", "grey74"), _truth_strip(plan, truth, range(start, end, step)))
        table.add_row(
            Text("decoded", "bold"), _decoded_strip(plan, truth, outcomes, range(start, end, step))
        )
        marks = Text(" " * len(range(start, end, step)))
        for number, place in zip(of_row, places, strict=True):
            if number < len(results):
                _mark(marks, results[number], (place.start - start) // step, len(place) // step)
        table.add_row("", marks)
        rows.append(table)
    return rows


def _mark(marks: Text, result: BlockResult, at: int, cells: int) -> None:
    """Write the result under its block, aligned with the block's end."""
    text = "✓" if result.right else f"✗ {_plain(result.decided)}" if result.decided else "✗"
    text = text[:cells].rjust(cells)[: len(marks) - at]
    style = "bold green" if result.right else "bold red"
    marks.plain = marks.plain[:at] + text + marks.plain[at + len(text) :]
    marks.stylize(style, at, at + len(text))


def _truth_strip(plan: DemoPlan, truth: Sequence[str], places: range) -> Text:
    """Return blocks as coloured boxes with their names, and rest as a dark band."""
    strip = Text()
    states = [truth[index] for index in places]
    at = 0
    while at < len(states):
        end = at
        while end < len(states) and states[end] == states[at]:
            end += 1
        if states[at]:
            hue = class_colour(plan.classes.index(states[at]))
            strip.append(_plain(states[at])[: end - at].center(end - at), f"bold #101214 on {hue}")
        else:
            strip.append(" " * (end - at), _REST)
        at = end
    return strip


def _decoded_strip(
    plan: DemoPlan, truth: Sequence[str], outcomes: Sequence[Outcome], places: range
) -> Text:
    """Return each volume's decision in its colour: brighter if more probable, thin during rest.

    A volume without a class (none) is a question mark.
    """
    strip = Text()
    for index in places:
        if index >= len(outcomes):
            strip.append(" ", _REST)
            continue
        outcome = outcomes[index]
        if isinstance(outcome, Skipped):
            strip.append("·", f"grey50 {_REST}")
            continue
        if outcome.label == NONE:
            strip.append("?", f"grey50 {_REST}")
            continue
        number = plan.classes.index(outcome.label)
        if truth[index]:
            strip.append(" ", shade(max(outcome.probabilities), class_colour(number)))
        else:
            strip.append("▁", f"{class_colour(number)} {_REST}")
    return strip


def _explanation(plan: DemoPlan) -> Text:
    return Text(
        f"The truth is shifted by the haemodynamic lag of {plan.lag_s:g} s. ✓ and ✗ show the "
        "result of each block at its last volume; ? means that no class is probable enough.",
        "grey58",
    )


def _measures(outcomes: Sequence[Outcome], width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=NAME, no_wrap=True)
    table.add_column(no_wrap=True)
    spark = max(8, width - NAME - 33)
    moved = [
        math.nan if outcome.quality is None else outcome.quality.framewise_displacement
        for outcome in outcomes
    ]
    known = [value for value in moved if not math.isnan(value)]
    line = sparkline(moved, spark, max([0.5, *known]), _MOTION_STYLES)
    line.append(f" {known[-1]:5.2f} mm" if known else "     – mm", "bold")
    table.add_row(Text("motion", "grey74"), line.append(" framewise displ.", "grey58"))
    late_ms = [
        (o.stamps.recorded_ns - o.stamps.received_ns) / 1e6
        for o in outcomes
        if isinstance(o, Decision)
    ]
    p50, p95 = np.percentile(late_ms, (50, 95)) if late_ms else (0.0, 0.0)
    line = sparkline(late_ms, spark, max([1.0, *late_ms[-spark:]]), ((0.0, "green"),))
    line.append(f" {p50:5.0f} ms", "bold").append(" p50 ", "grey58")
    line.append(f"{p95:4.0f} ms", "bold").append(" p95", "grey58")
    table.add_row(Text("latency", "grey74"), line)
    return table


def _score(results: Sequence[BlockResult], plan: DemoPlan, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=NAME, no_wrap=True)
    table.add_column(no_wrap=True)
    counts = Counter(result.right for result in results)
    line = Text()
    for result in results:
        line.append("■" if result.right else "□", "green" if result.right else "red")
    line.append("□" * (len(plan.blocks) - len(results)), "grey27")
    line.append(f"  {counts[True]} of {len(results)}", "bold")
    line.append(f" blocks right; chance is 1 in {len(plan.classes)}", "grey58")
    line.truncate(width - NAME - 1, overflow="ellipsis")
    table.add_row(Text("score", "grey74"), line)
    return table


def _plain(name: str) -> str:
    return name.replace("_", " ")
