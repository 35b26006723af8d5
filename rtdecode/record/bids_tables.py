"""A run's outcomes and events as table columns with descriptions."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rtdecode.events import COLUMNS, MISSING
from rtdecode.journal import RecordedRun
from rtdecode.record.event_rows import SOURCES, EventRow
from rtdecode.types import NONE, STAGES, Decision, Motion, Outcome, Quality, SkipReason

REASONS = {
    SkipReason.GAP: "the volume never arrived",
    SkipReason.INCOMPLETE: "slices of the volume are missing",
    SkipReason.LATE: "the decision was late and was withheld",
    SkipReason.CORRUPT: "the volume cannot be read",
    SkipReason.WRONG_SERIES: "the volume does not fit the decoder's calibration data",
    SkipReason.DUMMY: "one of the first volumes, before the steady state",
    SkipReason.PAUSED: "the operator had paused the run",
    SkipReason.NOT_READY: "the statistics of the run are still being gathered",
    SkipReason.NO_EVIDENCE: "no volume in the window, or in the filter's last dwell time, can be "
    "trusted",
}
_MOTION = {
    "trans": ("Translation along {axis} relative to the decoder's reference EPI", "mm"),
    "rot": (
        "Rotation about {axis} relative to the decoder's reference EPI, about its centre",
        "rad",
    ),
}
_LATENCY = {
    "journal": "from the receipt of the volume's last byte until the volume is on disk",
    "parse": "from there until pixels and geometry are known, including the wait behind earlier "
    "volumes",
    "realign": "from there until the volume is realigned, including the wait for a missing volume",
    "resample": "of resampling into the decoder's grid",
    "smooth": "of smoothing",
    "normalise": "of detrending and z-scoring",
    "decode": "of the decoder",
    "record": "from the decision until the decision is on disk; it is published after that",
    "total": "from the receipt of the volume's last byte until its decision is on disk and "
    "published: the whole delay that rtdecode adds",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    about: Mapping[str, Any]
    """Its entry in the sidecar."""
    cells: Sequence[str]


def table(columns: Sequence[Column]) -> str:
    """Return columns as tab-separated values."""
    rows = [[column.name for column in columns]]
    rows += [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    return "".join("\t".join(row) + "\n" for row in rows)


def descriptions(columns: Iterable[Column]) -> dict[str, Any]:
    """Return the sidecar's entries for the columns."""
    return {column.name: dict(column.about) for column in columns}


def number(value: float | None) -> str:
    """Return a number that reads back to the same value; `n/a` for none."""
    return MISSING if value is None or not math.isfinite(value) else repr(value)


def decoding(run: RecordedRun) -> list[Column]:
    """Return the columns of the decoding table."""
    outcomes = run.outcomes
    decisions = [o if isinstance(o, Decision) else None for o in outcomes]

    def of(value: Callable[[Decision], str]) -> list[str]:
        return [MISSING if d is None else value(d) for d in decisions]

    columns = [
        Column(
            "volume",
            {"Description": "Position of the volume in the run from 0, dummy volumes included."},
            [str(o.index) for o in outcomes],
        ),
        Column(
            "acquired",
            {
                "Description": "Start of the volume's acquisition, relative to the run's first "
                "volume, by the scanner's clock. If the headers have no clock, it is position "
                "times repetition time.",
                "Units": "s",
            },
            of(lambda d: number(d.acquired_s)),
        ),
        Column(
            "outcome",
            {
                "Description": "Whether the volume has a decision.",
                "Levels": {"decision": "it has a decision", "skipped": "it has no decision"},
            },
            ["skipped" if d is None else "decision" for d in decisions],
        ),
        Column(
            "label",
            {
                "Description": "The class with the highest probability in the decision, or "
                "none if that probability is below the decoder's threshold.",
                "Levels": {
                    **dict.fromkeys(run.classes, "a class of the decoder"),
                    NONE: "no class",
                },
            },
            of(lambda d: _text(d.label)),
        ),
    ]
    columns += _probabilities(run, of)
    columns += [
        Column(
            "window_volumes",
            {
                "Description": "Number of volumes used as evidence in this decision's window, or "
                "in the last dwell time of its filter."
            },
            of(lambda d: str(d.window_volumes)),
        ),
        Column(
            "late",
            {
                "Description": "Whether the decision was recorded after the service's deadline for "
                "its volume. The table contains late decisions; LateDecisions says whether "
                "programs received them.",
                "Levels": {"true": "late", "false": "in time"},
            },
            of(lambda d: _truth(value=d.late)),
        ),
        Column(
            "skipped_reason",
            {
                "Description": "Why the volume has no decision.",
                "Levels": {str(reason): why for reason, why in REASONS.items()},
            },
            [MISSING if isinstance(o, Decision) else str(o.reason) for o in outcomes],
        ),
        Column(
            "usable",
            {
                "Description": "Whether the volume was used as evidence.",
                "Levels": {"true": "it was", "false": "it was not, see unusable_reasons"},
            },
            [MISSING if o.quality is None else _truth(value=o.quality.usable) for o in outcomes],
        ),
        Column(
            "unusable_reasons",
            {"Description": "All reasons why the volume was not used, separated by commas."},
            [_text(",".join(o.quality.why)) if o.quality else MISSING for o in outcomes],
        ),
    ]
    columns += [
        Column(
            f"latency_{stage}",
            {"Description": f"Time {_LATENCY[stage]}.", "Units": "s"},
            [number(latency_s(o, stage)) for o in outcomes],
        )
        for stage in STAGES
    ]
    return columns


def _probabilities(
    run: RecordedRun, of: Callable[[Callable[[Decision], str]], list[str]]
) -> list[Column]:
    names = _column_names(run.classes)
    columns = []
    for kind, about in (
        ("probability", "Probability of {name} in the decision; the sum over the classes is 1."),
        (
            "fast",
            "Probability of {name} by the fast read-out, which has a memory of about three volumes "
            "and is noisier; for continuous display.",
        ),
    ):
        field = "probabilities" if kind == "probability" else "fast"
        for at, name in enumerate(run.classes):
            values = of(lambda d, at=at, field=field: _at(getattr(d, field), at))  # type: ignore[misc]
            entry = {"Description": about.format(name=name), "Class": name}
            columns.append(Column(f"{kind}_{names[at]}", entry, values))
    return columns


def _at(values: Sequence[float], at: int) -> str:
    return number(values[at]) if at < len(values) else MISSING


def _column_names(classes: Sequence[str]) -> list[str]:
    """Return column names for classes; a class name may contain any character."""
    names: list[str] = []
    for at, name in enumerate(classes):
        plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or f"class_{at}"
        names.append(f"{plain}_{at}" if plain in names else plain)
    return names


def confounds(run: RecordedRun) -> list[Column]:
    """Return the columns of the confounds table, with the names that fMRIPrep uses."""
    columns = []
    for field in fields(Motion):
        kind, _, axis = field.name.partition("_")
        about, unit = _MOTION[kind]
        description = (
            f"{about.format(axis=axis)}. The transform maps the reference's millimetres (RAS+) to "
            "the volume's. It rotates about x, then y, then z, and then translates."
        )
        columns.append(
            Column(
                field.name,
                {"Description": description, "Units": unit},
                [
                    MISSING if o.motion is None else number(getattr(o.motion, field.name))
                    for o in run.outcomes
                ],
            )
        )
    measures: dict[str, dict[str, str]] = {
        "framewise_displacement": {
            "Description": "Power et al. 2012: the sum of the absolute changes of the six "
            "parameters since the last volume that was realigned, rotations on a sphere of 50 mm; "
            "0 for a run's first volume.",
            "Units": "mm",
        },
        "dvars": {
            "Description": "Root mean square over the decoder's mask of the change since the last "
            "volume, in per cent of the mean signal (not standardised); 0 for a run's first "
            "volume.",
            "Units": "percent",
        },
        "temporal_snr": {
            "Description": "Median over the decoder's mask of mean / standard deviation of the run "
            "so far."
        },
        "signal_drop": {
            "Description": "Fall of the mask's mean signal below its mean so far, as a fraction."
        },
    }
    columns += [
        Column(name, about, [_measure(o.quality, name) for o in run.outcomes])
        for name, about in measures.items()
    ]
    return columns


def _measure(quality: Quality | None, name: str) -> str:
    return MISSING if quality is None else number(getattr(quality, name))


def events(rows: Sequence[EventRow]) -> list[Column]:
    """Return the columns of the events table."""
    sources = {row.source for row in rows}
    onset, duration, trial_type = COLUMNS
    return [
        Column(
            onset,
            {
                "Description": "Time since the acquisition of the run's first volume began.",
                "Units": "s",
            },
            [number(row.onset_s) for row in rows],
        ),
        Column(
            duration,
            {"Description": "Duration as reported; n/a if it was not reported.", "Units": "s"},
            [number(row.duration_s) for row in rows],
        ),
        Column(
            trial_type,
            {"Description": "The stimulus or condition, in the experimenter's words."},
            [_text(row.trial_type) for row in rows],
        ),
        Column(
            "onset_source",
            {
                "Description": "Source of the onset.",
                "Levels": {name: why for name, why in SOURCES.items() if name in sources},
            },
            [row.source for row in rows],
        ),
    ]


def latency_s(outcome: Outcome, stage: str) -> float:
    """Return a stage's duration for a volume that arrived live; `nan` if it was not reached."""
    begin, end = STAGES[stage]
    begun_ns, ended_ns = getattr(outcome.stamps, begin), getattr(outcome.stamps, end)
    # Without this stamp the volume was read after a restart, so the times are not live.
    if not (begun_ns and ended_ns and outcome.stamps.journalled_ns):
        return math.nan
    # Microseconds: no clock is more precise.
    return round((ended_ns - begun_ns) / 1e9, 6)


def _truth(*, value: bool) -> str:
    return "true" if value else "false"


def _text(text: str) -> str:
    """Return text that fits into one cell."""
    return "".join(c if c.isprintable() else " " for c in text) or MISSING
