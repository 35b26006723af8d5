"""A run's outcomes as columns that say what they are."""

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
    SkipReason.GAP: "it never came",
    SkipReason.INCOMPLETE: "some of its slices never came",
    SkipReason.LATE: "it was decided after its deadline, and the decision was withheld",
    SkipReason.CORRUPT: "it came and could not be read",
    SkipReason.WRONG_SERIES: "it does not match what the decoder was calibrated on",
    SkipReason.DUMMY: "one of the first, before the steady state",
    SkipReason.PAUSED: "the operator had paused the run",
    SkipReason.NOT_READY: "the online statistics did not mean anything yet",
    SkipReason.NO_EVIDENCE: "no volume that a decision looks back on could be trusted",
}
_MOTION = {
    "trans": ("Translation along {axis} against the decoder's reference EPI", "mm"),
    "rot": ("Rotation about {axis} against the decoder's reference EPI, about its centre", "rad"),
}
_LATENCY = {
    "journal": "from its last byte received to its being durable",
    "parse": "from there to its pixels and geometry, the wait behind earlier volumes included",
    "realign": "from there to its realignment, the wait for a missing volume included",
    "resample": "of resampling into the decoder's grid",
    "smooth": "of smoothing",
    "normalise": "of detrending and z-scoring",
    "decode": "of the decoder",
    "record": "from the decision to its being durable; it was published next",
    "total": "from its last byte received to its decision being durable and published: the whole "
    "delay that rtdecode adds",
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


def described(columns: Iterable[Column]) -> dict[str, Any]:
    """Return what a sidecar says of columns."""
    return {column.name: dict(column.about) for column in columns}


def number(value: float | None) -> str:
    """Return a number in full, so that reading it gives it back; `n/a` for none."""
    return MISSING if value is None or not math.isfinite(value) else repr(value)


def decoding(run: RecordedRun) -> list[Column]:
    """Return what was decided of each volume."""
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
                "Description": "When its acquisition began, since that of the run's first volume, "
                "by the scanner's clock where headers give one, else position times repetition "
                "time.",
                "Units": "s",
            },
            of(lambda d: number(d.acquired_s)),
        ),
        Column(
            "outcome",
            {
                "Description": "What became of the volume.",
                "Levels": {"decision": "it was decided", "skipped": "it has no decision"},
            },
            ["skipped" if d is None else "decision" for d in decisions],
        ),
        Column(
            "label",
            {
                "Description": "The class with the highest probability of the decision, or "
                "none where that is below the decoder's threshold.",
                "Levels": {**dict.fromkeys(run.classes, "a class of the decoder"), NONE: "-"},
            },
            of(lambda d: _text(d.label)),
        ),
    ]
    columns += _probabilities(run, of)
    columns += [
        Column(
            "window_volumes",
            {
                "Description": "How many volumes carried evidence in this decision's window, or in "
                "the last dwell time of its filter."
            },
            of(lambda d: str(d.window_volumes)),
        ),
        Column(
            "late",
            {
                "Description": "Whether the decision was recorded later after its volume than the "
                "service's deadline. Such decisions are used here as they were made; whether "
                "programs got them is in LateDecisions.",
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
                "Description": "Whether the volume counted as evidence.",
                "Levels": {"true": "it did", "false": "it did not, see unusable_reasons"},
            },
            [MISSING if o.quality is None else _truth(value=o.quality.usable) for o in outcomes],
        ),
        Column(
            "unusable_reasons",
            {"Description": "Every reason why it did not, separated by commas."},
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
        ("probability", "Probability of {name} in the decision; the classes' sum is 1."),
        (
            "fast",
            "The same of the fast read-out, which follows within some three volumes and is "
            "noisier: for continuous display.",
        ),
    ):
        field = "probabilities" if kind == "probability" else "fast"
        for at, name in enumerate(run.classes):
            values = of(lambda d, at=at, field=field: _at(getattr(d, field), at))  # type: ignore[misc]
            described_as = {"Description": about.format(name=name), "Class": name}
            columns.append(Column(f"{kind}_{names[at]}", described_as, values))
    return columns


def _at(values: Sequence[float], at: int) -> str:
    return number(values[at]) if at < len(values) else MISSING


def _column_names(classes: Sequence[str]) -> list[str]:
    """Return names of columns for classes, whose own names may hold anything."""
    names: list[str] = []
    for at, name in enumerate(classes):
        plain = re.sub(r"[^0-9A-Za-z]+", "_", name).strip("_") or f"class_{at}"
        names.append(f"{plain}_{at}" if plain in names else plain)
    return names


def confounds(run: RecordedRun) -> list[Column]:
    """Return motion and quality of each volume, under the names that BIDS derivatives have."""
    columns = []
    for field in fields(Motion):
        kind, _, axis = field.name.partition("_")
        about, unit = _MOTION[kind]
        description = (
            f"{about.format(axis=axis)}: of the transform from the reference's millimetres (RAS+) "
            "to the volume's, which rotates about x, then y, then z, then translates."
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
            "volume, in per cent of the mean signal (not standardised); 0 for a run's first one.",
            "Units": "percent",
        },
        "temporal_snr": {
            "Description": "Median over the decoder's mask of mean / standard deviation of the run "
            "so far."
        },
        "signal_drop": {
            "Description": "Fall of the mask's mean signal against its mean so far, a fraction."
        },
    }
    columns += [
        Column(name, about, [_measure(o.quality, name) for o in run.outcomes])
        for name, about in measures.items()
    ]
    return columns


def _measure(quality: Quality | None, name: str) -> str:
    return MISSING if quality is None else number(getattr(quality, name))


def events(presented: Sequence[EventRow]) -> list[Column]:
    """Return events as BIDS has them."""
    sources = {event.source for event in presented}
    onset, duration, trial_type = COLUMNS
    return [
        Column(
            onset,
            {
                "Description": "Since the acquisition of the run's first volume began.",
                "Units": "s",
            },
            [number(event.onset_s) for event in presented],
        ),
        Column(
            duration,
            {"Description": "As it was told; n/a where it was not.", "Units": "s"},
            [number(event.duration_s) for event in presented],
        ),
        Column(
            trial_type,
            {"Description": "What was presented, in the experimenter's words."},
            [_text(event.trial_type) for event in presented],
        ),
        Column(
            "onset_source",
            {
                "Description": "Where the onset is from.",
                "Levels": {name: why for name, why in SOURCES.items() if name in sources},
            },
            [event.source for event in presented],
        ),
    ]


def latency_s(outcome: Outcome, stage: str) -> float:
    """Return how long a stage took for a volume that came live; `nan` where it was not reached."""
    begin, end = STAGES[stage]
    begun_ns, ended_ns = getattr(outcome.stamps, begin), getattr(outcome.stamps, end)
    # Without it the volume was read again after a restart, and its age is that of the restart.
    if not (begun_ns and ended_ns and outcome.stamps.journalled_ns):
        return math.nan
    # To the microsecond: no clock is better, and nobody needs more.
    return round((ended_ns - begun_ns) / 1e9, 6)


def _truth(*, value: bool) -> str:
    return "true" if value else "false"


def _text(text: str) -> str:
    """Return text that is one cell."""
    return "".join(c if c.isprintable() else " " for c in text) or MISSING
