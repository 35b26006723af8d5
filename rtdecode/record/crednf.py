"""The answers of a session's record to the checklist."""

import math
from collections.abc import Mapping, Sequence

from rtdecode.bundle import Manifest
from rtdecode.journal import RecordedRun, Session
from rtdecode.record import summary
from rtdecode.record.checklist import Answer
from rtdecode.record.decoder_section import read_out
from rtdecode.record.event_rows import EventRow
from rtdecode.report_kit import count, percent, shown
from rtdecode.types import Decision


def answers(
    session: Session,
    runs: Sequence[RecordedRun],
    events: Mapping[int, Sequence[EventRow]],
    manifests: Mapping[str, Manifest],
) -> dict[str, Answer]:
    """Return answers by item number; items that software cannot answer are missing."""
    known = [manifests[d] for d in dict.fromkeys(r.bundle for r in runs) if d in manifests]
    found = {
        "3d": _processing(known),
        "4a": _features(runs, known),
        "4d": Answer(
            "For each volume the probabilities of all classes by the decision read-out and by the "
            "fast read-out, the label, and whether the decision was late. The table is "
            "*_desc-decoding_timeseries.tsv. The plot is above.",
            "how the display showed them (smoothing, scale, sign), and what participants saw",
        ),
        "4e": _software(session),
        "5b": Answer(
            "Within the session: the plot above shows each class's probability and the blocks.",
            "the same across sessions; resting baselines or contrasts before and after",
        ),
        "7a": Answer(
            "Prepared: a BIDS derivative with all decisions, confounds and events. rtdecode export "
            "--deidentify writes the raw objects without data that identify the participant.",
            "the repository, scripts and materials",
        ),
    }
    artefacts, success = _artefacts(runs, events), _success(runs, events, manifests)
    if artefacts:
        found["3e"] = Answer(artefacts, "the comparison of conditions and groups over the study")
    if success:
        found["5a"] = Answer(success)
    return found


def _processing(known: Sequence[Manifest]) -> Answer:
    text = (
        "Each volume is rigidly realigned to the calibration run's mean EPI (Gauss-Newton). It is "
        "resampled once into the decoder's grid, with motion and subject-to-MNI transform "
        "together, and smoothed. Each voxel is detrended and z-scored causally with a running "
        "mean and standard deviation. The decoder and its read-out follow. Volumes that exceed "
        "the limits of framewise displacement or signal drop, or cannot be realigned, are not "
        "used as evidence or for the statistics. There is no physiological noise correction."
    )
    for manifest in known:
        prepared = manifest.preparation
        text += (
            f" Here: smoothing {prepared.smoothing_fwhm_mm:g} mm FWHM, memory of the mean "
            f"{prepared.memory_s:g} s, ready after {prepared.ready_after_s:g} s, limits "
            f"{prepared.framewise_displacement_limit_mm:g} mm and "
            f"{percent(prepared.signal_drop_limit)}; {manifest.provenance.registration}."
        )
    rest = "" if known else "smoothing, memory and limits, from the bundle's manifest"
    return Answer(text, rest)


def _features(runs: Sequence[RecordedRun], known: Sequence[Manifest]) -> Answer:
    classes = "; ".join(dict.fromkeys(", ".join(run.classes) for run in runs))
    text = f"The feedback variable is the decoder's probability of each class: {classes}."
    for manifest in known:
        origin = manifest.provenance
        fitted = "not fitted to this participant"
        if manifest.metrics is not None:
            fitted = (
                f"calibrated on {count(origin.n_calibration_volumes, 'volume')} of this participant"
            )
        text += (
            f" Decoder: {manifest.kind} (weights {origin.weights}), {fitted}, evidence by "
            f"{read_out(manifest)}. Choice of the decoder: {manifest.rule}."
        )
    return Answer(text, "" if known else "the decoder, from the bundle's manifest")


def _software(session: Session) -> Answer:
    parts = []
    for serving in session.servings:
        settings = serving.settings
        libraries = [f"{n} {v}" for n, v in settings.get("libraries", {}).items()]
        software = ", ".join([f"rtdecode {serving.version}", *libraries])
        parts.append(
            f"{software}; {serving.system}; network on {settings.get('provider') or 'cpu'}, "
            f"{count(settings.get('threads', 1), 'thread')}."
        )
    return Answer(
        " ".join(dict.fromkeys(parts)),
        "scanner, coil, sequence and its software; the computers; display and its software",
    )


def _artefacts(runs: Sequence[RecordedRun], events: Mapping[int, Sequence[EventRow]]) -> str:
    parts = [
        f"{one.trial_type}{_of(run, runs)}: framewise displacement {shown(one.mean_fd_mm)} mm, "
        f"DVARS {shown(one.mean_dvars_percent)} %, {one.unusable} of {one.volumes} volumes not "
        "used as evidence"
        for run in runs
        for one in summary.artefacts(run, events.get(run.run, ()))
    ]
    return "Means during each trial type: " + "; ".join(parts) + "." if parts else ""


def _success(
    runs: Sequence[RecordedRun],
    events: Mapping[int, Sequence[EventRow]],
    manifests: Mapping[str, Manifest],
) -> str:
    parts = []
    for run in runs:
        manifest = manifests.get(run.bundle)
        lag_s = 0.0 if manifest is None else manifest.haemodynamic_lag_s
        ends = summary.block_ends(run, events.get(run.run, ()), lag_s)
        if ends is None or math.isnan(ends.mean_probability):
            continue
        low, high = ends.interval_95
        decided = sum(isinstance(o, Decision) for o in run.outcomes)
        parts.append(
            f"In {ends.right} of {ends.blocks} blocks{_of(run, runs)} the decision at the block's "
            f"end was the presented class ({_later(lag_s)}95 % interval "
            f"{percent(low)} to {percent(high)}, chance {percent(1 / len(run.classes))}), with "
            f"mean probability {shown(ends.mean_probability)} of that class. {ends.undecided} "
            f"blocks had no decision at their end. {count(decided, 'decision')} of "
            f"{count(len(run.outcomes), 'volume')}."
        )
    return " ".join(parts)


def _later(lag_s: float) -> str:
    return f"{lag_s:g} s later because of the haemodynamic lag; " if lag_s else ""


def _of(run: RecordedRun, runs: Sequence[RecordedRun]) -> str:
    return f" of run {run.run}" if len(runs) > 1 else ""
