"""The report's sections on one run: decisions, motion, latency, losses."""

import math
from collections.abc import Sequence

import numpy as np

from rtdecode.bundle import Manifest
from rtdecode.journal import RecordedRun
from rtdecode.record import summary
from rtdecode.record.bids_tables import latency_s
from rtdecode.record.decision_chart import DecisionSeries, decisions
from rtdecode.record.event_rows import EventRow, blocks
from rtdecode.record.session_data import SessionData
from rtdecode.report_kit import count, facts, grid, percent, section, shown, tiles
from rtdecode.report_kit.axes import Axis, ChartLine, Floats, lines
from rtdecode.types import FD_MARKS_MM, Decision


def run_sections(data: SessionData, run: RecordedRun) -> list[str]:
    """Return the cards of a run."""
    events = data.events.get(run.run, ())
    manifest = data.manifests.get(run.bundle)
    time_s = summary.times_s(run)
    tr_s = 1.0 if math.isnan(run.repetition_time_s) else run.repetition_time_s
    axis = Axis(float(time_s.max()) + tr_s)
    state = "" if run.ended else ", unfinished"
    return [
        f"<h2>Run {int(data.labels.run) + run.run - 1}{state}</h2>",
        _tiles(run, events, manifest),
        _decisions(data, run, events, axis),
        _motion(run, manifest, axis),
        _latency(data, run, axis),
        _losses(run),
    ]


def _tiles(run: RecordedRun, events: Sequence[EventRow], manifest: Manifest | None) -> str:
    made = [o for o in run.outcomes if isinstance(o, Decision)]
    late = sum(d.late for d in made)
    took_ms = summary.latencies_ms(run)["total"]
    fd_mm = summary.measure(run, "framewise_displacement")
    fd_mm = fd_mm[np.isfinite(fd_mm)]
    skipped = len(run.outcomes) - len(made)
    figures = [
        (str(len(made)), "decisions", f"of {count(len(run.outcomes), 'volume')}, {skipped} "
         f"without; {late} late"),
    ]  # fmt: skip
    lag_s = 0.0 if manifest is None else manifest.haemodynamic_lag_s
    ends = summary.block_ends(run, events, lag_s)
    if ends is not None and ends.blocks:
        low, high = ends.interval_95
        figures.append(
            (
                f"{ends.right} of {ends.blocks}",
                "blocks right at their end",
                f"95 % interval {percent(low)} to {percent(high)}, "
                f"chance {percent(1 / len(run.classes))}",
            )
        )
    if len(took_ms):
        p50, p99 = np.percentile(took_ms, (50, 99))
        figures.append((f"{shown(p50)} ms", "latency, median", f"99 % within {shown(p99)} ms"))
    if len(fd_mm):
        figures.append(
            (
                f"{fd_mm.mean():.2f} mm",
                "framewise displacement, mean",
                f"largest {fd_mm.max():.2f} mm; {_above(fd_mm, FD_MARKS_MM[-1])}",
            )
        )
    return tiles(figures)


def _decisions(data: SessionData, run: RecordedRun, events: Sequence[EventRow], axis: Axis) -> str:
    time_s = summary.times_s(run)
    tr_s = axis.end_s - float(time_s.max())
    probabilities = np.full((len(run.outcomes), len(run.classes)), np.nan)
    for at, outcome in enumerate(run.outcomes):
        if isinstance(outcome, Decision):
            probabilities[at] = outcome.probabilities
    series = DecisionSeries(
        time_s,
        probabilities,
        [o.label if isinstance(o, Decision) else "" for o in run.outcomes],
        [
            (float(time_s[loss.first]), float(time_s[loss.last]) + tr_s, loss.reason)
            for loss in summary.losses(run)
        ],
        [
            float(t)
            for t, o in zip(time_s, run.outcomes, strict=True)
            if isinstance(o, Decision) and o.late
        ],
    )
    key = (
        '<p class="key"><i class="k-p"></i>probability of the decision, 0 to 1'
        '<i class="k-d"></i>decided for this class<i class="k-b"></i>presented'
        '<i class="k-l"></i>no decision<i class="k-t"></i>late</p>'
    )
    note = "The horizontal axis is the acquisition time, in seconds since the run's first volume."
    manifest = data.manifests.get(run.bundle)
    if events and manifest is not None and manifest.haemodynamic_lag_s:
        note += (
            f" The response follows the stimulus by about {manifest.haemodynamic_lag_s:g} s. "
            "Blocks are judged that much after their end."
        )
    if not events:
        note += (
            " The record has no stimulus events. Stimulus programs report them with "
            "rtdecode.client.Control.event, and rtdecode export reads an events file."
        )
    elif any(e.source == "service" for e in events):
        note += (
            " Some onsets are computed from the time of the report. They are too early by the "
            "shortest delay of a volume."
        )
    if data.without_onset:
        note += f" Left out: {count(data.without_onset, 'event')} without a known onset."
    picture = decisions(series, run.classes, blocks(events), axis)
    return section("Decisions", note, key + picture)


def _motion(run: RecordedRun, manifest: Manifest | None, axis: Axis) -> str:
    time_s = summary.times_s(run)
    motion = np.array(
        [
            np.full(6, np.nan) if o.motion is None else o.motion.as_array()
            for o in run.outcomes
        ]
    )  # fmt: skip
    translations = [ChartLine(f"trans_{a}", motion[:, n]) for n, a in enumerate("xyz")]
    rotations = [ChartLine(f"rot_{a}", np.degrees(motion[:, 3 + n])) for n, a in enumerate("xyz")]
    limit_mm = None
    if manifest is not None:
        limit_mm = manifest.preparation.framewise_displacement_limit_mm
    fd_mm, dvars = (summary.measure(run, n) for n in ("framewise_displacement", "dvars"))
    snr = summary.measure(run, "temporal_snr")
    pictures = [
        lines(translations, time_s, axis, "Translation, mm"),
        lines(rotations, time_s, axis, "Rotation, degrees"),
        lines(
            [ChartLine("framewise displacement", fd_mm)],
            time_s,
            axis,
            "Framewise displacement, mm",
            limit=limit_mm,
            marks=FD_MARKS_MM,
        ),
        lines([ChartLine("DVARS", dvars)], time_s, axis, "DVARS, % of the mean signal"),
        lines([ChartLine("tSNR", snr)], time_s, axis, "Temporal SNR so far"),
    ]
    marks = "; ".join(_above(fd_mm, mark) for mark in FD_MARKS_MM)
    rows = [
        ("Framewise displacement", f"mean {shown(summary.mean(fd_mm))} mm; {marks}"),
        ("DVARS", f"mean {shown(summary.mean(dvars))} %"),
        ("Temporal SNR at the end", shown(_last(snr))),
        ("Volumes not used as evidence", ", ".join(
            f"{n} {why}" for why, n in sorted(summary.unusable(run).items())) or "none"),
    ]  # fmt: skip
    note = "Computed in real time, relative to the reference of the decoder's calibration."
    if limit_mm is not None:
        note += f" Above {limit_mm:g} mm a volume is not used as evidence."
    return section("Motion and quality", note, "".join(pictures) + facts(rows), long=True)


def _latency(data: SessionData, run: RecordedRun, axis: Axis) -> str:
    took_ms = summary.latencies_ms(run)
    if not len(took_ms["total"]):
        return section(
            "Latency", "No volume was decided when it arrived, so the latency is unknown.", ""
        )
    deadlines = {
        s.settings.get("deadline_s") or run.repetition_time_s
        for s in summary.service_starts(data.session, run)
    }
    deadline_s = deadlines.pop() if len(deadlines) == 1 else math.nan
    total = np.array(
        [1e3 * latency_s(o, "total") if isinstance(o, Decision) else math.nan for o in run.outcomes]
    )
    picture = lines(
        [ChartLine("total", total)],
        summary.times_s(run),
        axis,
        "Last byte received to decision published, ms",
        limit=None if math.isnan(deadline_s) else 1e3 * deadline_s,
    )
    rows = [
        (stage, *(shown(float(p)) for p in np.percentile(values, summary.PERCENTILES)))
        for stage, values in took_ms.items()
        if len(values)
    ]
    note = (
        "The time that rtdecode adds. The delays of reconstruction, export and the stimulus "
        "program are not included."
    )
    if not math.isnan(deadline_s):
        note += f" Decisions later than {deadline_s:g} s after their volume's last byte are late."
    head = ("stage", "median, ms", "95 %", "99 %", "longest")
    return section("Latency", note, picture + grid(head, rows, 4))


def _losses(run: RecordedRun) -> str:
    rows = [
        (
            str(loss.first) if loss.volumes == 1 else f"{loss.first} to {loss.last}",
            loss.reason,
            loss.detail,
            str(loss.volumes),
        )
        for loss in summary.losses(run)
    ]
    late = [o.index for o in run.outcomes if isinstance(o, Decision) and o.late]
    other = [
        ("Late decisions", ", ".join(map(str, late)) or "none"),
        ("Objects", _objects(run)),
    ]
    other += [(f"Notice: {kind}", text) for kind, text in run.notices]
    note = "All volumes without a decision, late decisions, object counts and notices."
    table = grid(("volumes", "reason", "detail", "how many"), rows, 1) if rows else ""
    return section("Losses", note, table + facts(other), long=True)


def _objects(run: RecordedRun) -> str:
    tally = run.tally
    if tally is None:
        return "not counted: the run had not ended, or an earlier version of rtdecode recorded it"
    return (
        f"{tally.objects} received, {tally.unreadable} unreadable, {tally.left_out} left out "
        f"(another series or kind), {tally.conflicts} in conflict with an earlier one"
    )


def _above(values: Floats, mark_mm: float) -> str:
    return f"{count(int((values > mark_mm).sum()), 'volume')} above {mark_mm:g} mm"


def _last(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else math.nan
