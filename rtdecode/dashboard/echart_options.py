"""The options of the charts for ECharts, and the data to send for each volume."""

import math
from collections.abc import Sequence
from typing import Any

from rtdecode.dashboard.model import RunPlan
from rtdecode.events import Block
from rtdecode.palette import class_colour
from rtdecode.types import FD_MARKS_MM, Decision, Outcome

Options = dict[str, Any]
Points = list[list[float | None]]

INK = "#7f8b99"
RULE = "rgba(127,139,153,0.22)"
SHOWN_CLASSES = 8
"""If there are more classes, only the recently most probable ones are drawn."""
RECENT_DECISIONS = 60
_MOTION = {
    "trans_x": "x",
    "trans_y": "y",
    "trans_z": "z",
    "rot_x": "pitch",
    "rot_y": "roll",
    "rot_z": "yaw",
}
"""Motion parameters and their names in the legend."""
_AXIS_COLOURS = ("#3b8fd0", "#3fa65a", "#e2544f")
_WARNING, _LIMIT = "#c9a81f", "#e2544f"
_DEGREES = 180 / math.pi
_FONT = {"fontFamily": "Roboto, sans-serif", "fontSize": 14, "color": INK}


def to_words(name: str) -> str:
    """Return the name of a class or trial type with spaces."""
    return name.replace("_", " ")


def shown_classes(outcomes: Sequence[Outcome], classes: Sequence[str]) -> list[int]:
    """Return the indices of the drawn classes, in order."""
    if len(classes) <= SHOWN_CLASSES:
        return list(range(len(classes)))
    recent = [o.probabilities for o in outcomes if isinstance(o, Decision)][-RECENT_DECISIONS:]
    totals = [max((p[n] for p in recent), default=0.0) for n in range(len(classes))]
    return sorted(sorted(range(len(classes)), key=lambda n: -totals[n])[:SHOWN_CLASSES])


def probabilities(classes: Sequence[str], plan: RunPlan, length_s: float) -> Options:
    """Return the chart of the probabilities over time, with the task's blocks as a background."""
    areas = [_area(block, classes) for block in plan.blocks or plan.presented]
    background: Options = {
        "id": "blocks",
        "type": "line",
        "data": [],
        "silent": True,
        "markArea": {"silent": True, "data": areas},
    }
    lines = [
        _line(f"class {n}", to_words(name), class_colour(n), width=3, extra={"xAxisIndex": 0})
        for n, name in enumerate(classes)
    ]
    has_legend = len(classes) <= SHOWN_CLASSES
    return {
        **_common(),
        "legend": {**_legend(), "data": [to_words(n) for n in classes] if has_legend else []},
        "grid": {"left": 56, "right": 18, "top": 40, "bottom": 32},
        "xAxis": _time_axis(length_s),
        "yAxis": {**_axis(), "min": 0, "max": 1, "interval": 0.25, "axisLabel": _percent()},
        "series": [background, *lines],
    }


def with_data(options: Options, data: Options) -> Options:
    """Return the options of a chart with its first data."""
    points = {series["id"]: series["data"] for series in data["series"]}
    series = [{**s, "data": points.get(s["id"], s["data"])} for s in options["series"]]
    legend = {**options.get("legend", {}), **data.get("legend", {})}
    return {**options, "series": series, **({"legend": legend} if legend else {})}


def motion(limit_mm: float | None, length_s: float) -> Options:
    """Return the chart of the motion parameters and of framewise displacement with its limits."""
    lines = [
        _line(name, label, _AXIS_COLOURS[n % 3], width=2, extra=_of(0))
        | {"lineStyle": {"width": 2, "type": "solid" if n < 3 else "dashed"}}
        for n, (name, label) in enumerate(_MOTION.items())
    ]
    marks = [_mark(value, f"{value:g}", _WARNING) for value in FD_MARKS_MM]
    if limit_mm is not None:
        marks.append(_mark(limit_mm, f"limit {limit_mm:g}", _LIMIT))
    displacement = _line("fd", "FD", INK, width=2, extra=_of(1)) | {
        "areaStyle": {"opacity": 0.25},
        "markLine": {"symbol": "none", "silent": True, "data": marks, "animation": False},
    }
    return {
        **_common(),
        "legend": {
            **_legend(),
            "left": 30,
            "itemWidth": 10,
            "itemGap": 8,
            "textStyle": {**_FONT, "fontSize": 13},
            "data": list(_MOTION.values()),
        },
        "grid": [
            {"left": 48, "right": 62, "top": 46, "bottom": "53%"},
            {"left": 48, "right": 62, "top": "60%", "bottom": 26},
        ],
        "xAxis": [
            {**_time_axis(length_s), "gridIndex": 0, "axisLabel": {"show": False}, "name": ""},
            {**_time_axis(length_s), "gridIndex": 1},
        ],
        "yAxis": [
            {**_axis("mm, deg"), "gridIndex": 0, "splitNumber": 2, "scale": True},
            {**_axis("FD, mm"), "gridIndex": 1, "splitNumber": 2, "min": 0},
        ],
        "series": [*lines, displacement],
    }


def quality(length_s: float) -> Options:
    """Return the chart of DVARS and temporal SNR."""
    return {
        **_common(),
        "grid": [
            {"left": 48, "right": 14, "top": 32, "bottom": "55%"},
            {"left": 48, "right": 14, "top": "60%", "bottom": 26},
        ],
        "xAxis": [
            {**_time_axis(length_s), "gridIndex": 0, "axisLabel": {"show": False}, "name": ""},
            {**_time_axis(length_s), "gridIndex": 1},
        ],
        "yAxis": [
            {**_axis("DVARS, %"), "gridIndex": 0, "splitNumber": 2, "min": 0},
            {**_axis("temporal SNR"), "gridIndex": 1, "splitNumber": 2, "scale": True},
        ],
        "series": [
            _line("dvars", "DVARS", class_colour(4), width=2, extra=_of(0)),
            _line("tsnr", "temporal SNR", class_colour(5), width=2, extra=_of(1)),
        ],
    }


def probability_data(
    outcomes: Sequence[Outcome], classes: Sequence[str], repetition_s: float
) -> Options:
    """Return the data of `probabilities`, with gaps at volumes without a decision."""
    shown = shown_classes(outcomes, classes)
    series = []
    for n in range(len(classes)):
        points: Points = []
        if n in shown:
            points = [
                [_time(o, repetition_s), _round(o.probabilities[n])]
                if isinstance(o, Decision)
                else [_time(o, repetition_s), None]
                for o in outcomes
            ]
        series.append({"id": f"class {n}", "data": points})
    data: Options = {"series": series}
    if len(classes) > SHOWN_CLASSES:
        data["legend"] = {"data": [to_words(classes[n]) for n in shown]}
    return data


def motion_data(outcomes: Sequence[Outcome], repetition_s: float) -> Options:
    """Return the data of `motion`."""
    series: list[Options] = []
    for n, name in enumerate(_MOTION):
        unit = 1.0 if n < 3 else _DEGREES
        points: Points = [
            [_time(o, repetition_s), _round(getattr(o.motion, name) * unit)]
            for o in outcomes
            if o.motion is not None
        ]
        series.append({"id": name, "data": points})
    displacement = [(o, o.quality.framewise_displacement) for o in outcomes if o.quality]
    series.append(
        {"id": "fd", "data": [[_time(o, repetition_s), _round(v)] for o, v in displacement]}
    )
    return {"series": series}


def quality_data(outcomes: Sequence[Outcome], repetition_s: float) -> Options:
    """Return the data of `quality`."""
    measured = [(_time(o, repetition_s), o.quality) for o in outcomes if o.quality is not None]
    return {
        "series": [
            {"id": "dvars", "data": [[t, _round(q.dvars)] for t, q in measured]},
            {"id": "tsnr", "data": [[t, _round(q.temporal_snr)] for t, q in measured]},
        ]
    }


def _time(outcome: Outcome, repetition_s: float) -> float:
    return round((outcome.index + 1) * repetition_s, 2)


def _round(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _area(block: Block, classes: Sequence[str]) -> list[Options]:
    is_class = block.trial_type in classes
    tint = class_colour(list(classes).index(block.trial_type)) if is_class else INK
    return [
        {
            "name": to_words(block.trial_type).replace(" ", "\n"),
            "xAxis": block.onset_s,
            "itemStyle": {"color": tint, "opacity": 0.16},
            "label": {
                **_FONT,
                "lineHeight": 16,
                "position": "insideTop",
                "color": tint if is_class else INK,
            },
        },
        {"xAxis": block.end_s},
    ]


def _line(identity: str, name: str, tint: str, *, width: float, extra: Options) -> Options:
    return {
        "id": identity,
        "name": name,
        "type": "line",
        "data": [],
        "showSymbol": False,
        "silent": True,
        "connectNulls": False,
        "color": tint,
        "lineStyle": {"width": width},
        **extra,
    }


def _of(grid: int) -> Options:
    return {"xAxisIndex": grid, "yAxisIndex": grid}


def _mark(value: float, label: str, tint: str) -> Options:
    return {
        "yAxis": value,
        "lineStyle": {"color": tint, "type": "dashed", "width": 1.5},
        "label": {**_FONT, "fontSize": 12, "color": tint, "formatter": label, "position": "end"},
    }


def _common() -> Options:
    return {"animation": False, "textStyle": dict(_FONT)}


def _legend() -> Options:
    return {
        "top": 0,
        "left": 44,
        "icon": "roundRect",
        "itemWidth": 16,
        "itemHeight": 4,
        "itemGap": 16,
        "selectedMode": False,
        "textStyle": {**_FONT, "fontSize": 15},
    }


def _axis(name: str = "") -> Options:
    return {
        "type": "value",
        "name": name,
        "nameTextStyle": {**_FONT, "align": "left", "padding": [0, 0, 0, -34]},
        "nameGap": 10,
        "axisLabel": {**_FONT, "hideOverlap": True},
        "axisLine": {"show": False},
        "splitLine": {"lineStyle": {"color": RULE}},
    }


def _time_axis(length_s: float) -> Options:
    return {
        "type": "value",
        "min": 0,
        "max": round(length_s, 1) if math.isfinite(length_s) else "dataMax",
        "axisLabel": {
            **_FONT,
            "formatter": "{value} s",
            "hideOverlap": True,
            "showMaxLabel": False,
        },
        "axisLine": {"lineStyle": {"color": RULE}},
        "axisTick": {"show": False},
        "splitLine": {"show": False},
    }


def _percent() -> Options:
    return {**_FONT, ":formatter": "v => `${v * 100} %`"}
