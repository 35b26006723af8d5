"""The contents of each panel, as HTML. Every external text is escaped.

Exact values for programs are in `data-` attributes.
"""

import math
from collections.abc import Sequence
from html import escape

from rtdecode.bundle import Manifest
from rtdecode.dashboard.echart_options import to_words
from rtdecode.dashboard.model import Progress, newest_decision, newest_quality
from rtdecode.dashboard.service_connection import ServiceView
from rtdecode.dashboard.session_folder import FolderView
from rtdecode.metrics import verdict
from rtdecode.palette import class_colour
from rtdecode.types import FD_MARKS_MM, NONE, Decision, Outcome, Skipped

MOST_BARS = 5
_STATE_WORDS = {
    "idle": "no run has started",
    "ready": "waiting for the first volume",
    "calibrating": "collecting statistics before the first decision",
    "running": "decoding",
    "paused": "volumes are recorded but not decided",
    "ended": "the run has ended",
    "stopped": "the run is unfinished; serve the session again to resume it",
    "faulted": "stopped by a fault",
}


def about(view: ServiceView, name: str) -> str:
    """Return the names of the session, the run and the decoder."""
    status = view.status
    if status is None:
        return f"<b>{escape(name)}</b>"
    return (
        f"<b>{escape(name)}</b> run {status.run} "
        f"<span class=dim>bundle {escape(status.bundle)} on {escape(status.provider)}</span>"
    )


def state(view: ServiceView, progress: Progress) -> str:
    """Return the state of the run in big letters."""
    if view.dead:
        return (
            "<div class='big state-faulted' data-state=dead>dashboard fault</div>"
            "<div class=caption>The service is not affected. Start the dashboard again. "
            f"{escape(view.dead)}</div>"
        )
    status = view.status
    if status is None:
        return (
            "<div class='big state-none' data-state=none>waiting</div>"
            f"<div class='caption clamped'>for a service. {escape(view.trouble)}</div>"
        )
    caption = _STATE_WORDS.get(status.state, "")
    if status.state in ("faulted", "stopped") and status.detail:
        caption = status.detail
    of = f" of {progress.of}" if progress.of else ""
    share = 100 * min(1.0, progress.volumes / progress.of) if progress.of else 0
    bar = f"<div class=bar><i style='width:{share:.1f}%'></i></div>" if progress.of else ""
    return (
        f"<div class='big state-{status.state}' style='--letters:{len(status.state)}' "
        f"data-state={status.state}>{status.state}</div>"
        f"<div class=caption>{escape(caption)}</div>"
        f"<div class=volumes data-volumes={progress.volumes}>volume <b>{progress.volumes}</b>{of}"
        f"</div>{bar}"
    )


def countdown(progress: Progress) -> str:
    """Return the time until the next known event: a block, the end of the run, or a volume."""
    now, next_s, left_s = progress.moment, progress.next_s, progress.left_s
    has_next = not math.isnan(next_s)
    overdue = has_next and next_s < -1.0
    notes = []
    if now is not None and math.isfinite(now.left_s):
        following = escape(to_words(now.following)) if now.following else "the end"
        seconds, shown = now.left_s, _clock(now.left_s)
        what = f"<b>{escape(to_words(now.now))}</b> then {following}"
        notes.append(f"{_clock(left_s)} left in the run" if math.isfinite(left_s) else "")
    elif math.isfinite(left_s):
        seconds, shown, what = left_s, _clock(left_s), "left in the run"
    elif has_next:
        seconds, shown = next_s, f"{max(0, math.ceil(next_s))} s"
        what = "to the next volume"
    else:
        return "<div class='big dim'>–:––</div><div class=phase>&nbsp;</div>"
    if overdue:
        notes = [f"volume overdue by {-next_s:.0f} s"]
    elif has_next and "next" not in what:
        notes.append(f"volume in {max(0.0, next_s):.0f} s")
    note = " · ".join(n for n in notes if n)
    return (
        f"<div class=big data-countdown={math.ceil(seconds)}>{shown}</div>"
        f"<div class=phase>{what}</div>"
        f"<div class='caption{' late' if overdue else ''}'>{note}</div>"
    )


def decision(view: ServiceView, classes: Sequence[str]) -> str:
    """Return the newest decision in big letters, with the probabilities of the classes."""
    newest = view.outcomes[-1] if view.outcomes else None
    decided = newest_decision(view.outcomes)
    if newest is None or decided is None:
        reason = _reason(newest) if isinstance(newest, Skipped) else "no volume yet"
        index = newest.index if newest else -1
        return (
            f"<div class='big dim' data-label='' data-index={index}>–</div>"
            f"<div class=caption>{escape(reason)}</div>"
        )
    none = decided.label == NONE
    best = list(classes).index(decided.label) if decided.label in classes else -1
    old = " old" if newest is not decided else ""
    tint = f"--class:{class_colour(best)};" if best >= 0 else ""
    tint = f" style='{tint}--letters:{max(5, len(decided.label))}'"
    note = _note(newest, decided)
    caption = f"evidence of {decided.window_volumes} volumes"
    caption += " · no class is likely enough" if none else ""
    return (
        f"<div class='decided{old}'{tint}><div class=said>"
        f"<div class='big label{' dim' if none else ''}' data-label='{escape(decided.label)}' "
        f"data-index={newest.index} data-decided={decided.index}>{escape(to_words(decided.label))}"
        f"</div></div><div class=probabilities>{_bars(decided, classes)}</div></div>"
        f"<div class='caption{' late' if note else ''}'>"
        f"{escape(note or caption)}</div>"
    )


def age(age_s: float, repetition_s: float | None, *, running: bool) -> str:
    """Return the age of the decision."""
    if math.isnan(age_s):
        return ""
    late = running and repetition_s is not None and age_s > 2.5 * repetition_s
    # Whole seconds can be read from a distance and need no update in between.
    shown = "now" if age_s < 1 else f"{age_s:.0f} s old" if age_s < 100 else f"{_clock(age_s)} old"
    return f"<span class='{'late' if late else ''}' data-age={int(age_s)}>{shown}</span>"


def head(outcomes: Sequence[Outcome], limit_mm: float | None) -> str:
    """Return the newest value of framewise displacement."""
    newest = newest_quality(outcomes)
    if newest is None:
        return "–"
    fd_mm = newest.framewise_displacement
    tone = "bad" if fd_mm >= (limit_mm or FD_MARKS_MM[1]) else ""
    tone = tone or ("warn" if fd_mm >= FD_MARKS_MM[0] else "good")
    return f"FD <b class={tone} data-fd={fd_mm!r}>{_number(fd_mm, '.2f')}</b> mm"


def signal(outcomes: Sequence[Outcome]) -> str:
    """Return the newest values of the signal's quality."""
    newest = newest_quality(outcomes)
    if newest is None:
        return "–"
    dvars, tsnr = newest.dvars, newest.temporal_snr
    return (
        f"DVARS <b data-dvars={dvars!r}>{_number(dvars, '.2f')}</b> % &nbsp; "
        f"tSNR <b data-tsnr={tsnr!r}>{_number(tsnr, '.0f')}</b>"
    )


def slices(folder: FolderView | None) -> str:
    """Return the newest volume's slices."""
    if folder is None:
        return (
            "<p class=dim>To show slices, give the session's folder on this computer: "
            "rtdecode dashboard --session FOLDER</p>"
        )
    if not folder.slices:
        return f"<p class=dim>{escape(folder.trouble)}</p>"
    index = folder.index
    return (
        f"<img src='slices.png?{index}' data-index={index} alt='Sagittal, coronal and axial slice "
        f"of volume {index}; the mask of the decoder is outlined'>"
    )


def worth(manifest: Manifest | None, *, report: bool) -> str:
    """Return the verdict of the calibration, with a link to its report."""
    link = "<a href=report target=_blank rel=noopener>report <kbd>R</kbd></a>" if report else ""
    if manifest is None:
        return "<span class=dim>no bundle, so the verdict (go or no-go) is not known</span>"
    if manifest.metrics is None:
        return (
            "<span class='chip chip-unknown' data-go=unknown>NOT FITTED</span>"
            f"<span class=sentence>{escape(manifest.rule)}</span>{link}"
        )
    result = verdict(manifest.metrics, manifest.classes)
    word = result.outcome.upper()
    kind = "unknown" if result.outcome == "not tested" else result.outcome
    sentence = escape(result.sentence)
    return (
        f"<span class='chip chip-{kind}' data-go={kind}>{word}</span>"
        f"<span class=sentence title='{sentence}'>{sentence}</span>{link}"
    )


def _bars(decided: Decision, classes: Sequence[str]) -> str:
    ranked = sorted(range(len(classes)), key=lambda n: -decided.probabilities[n])
    rows = []
    for n in sorted(ranked[:MOST_BARS]):
        share = decided.probabilities[n]
        chosen = " class=chosen" if classes[n] == decided.label else ""
        name = escape(to_words(classes[n]))
        rows.append(
            f"<div{chosen} style='--class:{class_colour(n)}'><span>{name}</span>"
            f"<i><b style='width:{100 * share:.1f}%'></b></i>"
            f"<output data-class='{escape(classes[n])}' data-probability={share!r}>"
            f"{share:.0%}</output></div>"
        )
    return "".join(rows)


def _note(newest: Outcome, decided: Decision) -> str:
    if isinstance(newest, Skipped):
        return f"volume {newest.index}: {_reason(newest)}"
    if decided.late:
        return "late: decided after its deadline"
    if not decided.quality.usable:
        return f"this volume is not counted: {', '.join(decided.quality.why)}"
    return ""


def _reason(skipped: Skipped) -> str:
    return f"{skipped.reason}{': ' + skipped.detail if skipped.detail else ''}"


def _clock(seconds: float) -> str:
    """Return m:ss, rounded up, so that 0:00 means the end."""
    whole = max(0, math.ceil(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


def _number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
