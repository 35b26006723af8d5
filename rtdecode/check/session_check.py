"""Whether the session can be recorded: its folder, and room for it."""

import math
import secrets
import shutil
import tempfile
from pathlib import Path

import numpy as np

from rtdecode.bundle import Bundle
from rtdecode.check.context import Subject
from rtdecode.check.findings import CheckResult, Finding, green
from rtdecode.check.source_check import PROBE
from rtdecode.clock import Clock
from rtdecode.errors import ConfigError
from rtdecode.journal import Journal, read_session
from rtdecode.journal.pack import Entry, Kind
from rtdecode.journal.sqlite import RECORD
from rtdecode.report_kit import count
from rtdecode.service.start import check_session_folder, nearest_existing

SESSION, DISK = "session folder", "disk"
WRITES = 20
COMFORT, LIMIT = 0.1, 0.5
"""Of the repetition time for making a volume durable: beyond the first worth a word, beyond the
second too slow."""
USUAL_SHAPE = (64, 64, 36)
"""Where there is no bundle to say so."""
STORED_BYTES = 2
"""Of a voxel, as scanners store it."""
HEADER_BYTES = 8 << 10
"""Of a DICOM object, one for each slice at worst."""
RECORD_BYTES = 8 << 10
"""Of an outcome in the record, generously."""
CHECKPOINTS = 3
"""At one time: two are kept, and the next is written beside them."""
RESERVE_BYTES = 1 << 30
"""What should be left over for everything else."""


def check_session(subject: Subject) -> Finding:
    """Write a session's log where the session will be, and see what is in its folder already."""
    folder = subject.plan.settings.session
    check_session_folder(folder)
    bundle = subject.loaded
    found, verdict, remedy = _unfinished(folder, "" if bundle is None else bundle.digest)
    if verdict is CheckResult.RED:
        return Finding(SESSION, verdict, found, remedy)
    place = nearest_existing(folder)
    shape = USUAL_SHAPE if bundle is None else bundle.manifest.source_shape
    took_ms = durable_ms(place, STORED_BYTES * int(np.prod(shape)), subject.clock)
    repetition_s = math.nan if bundle is None else bundle.manifest.repetition_time_s
    return judged_session(took_ms, repetition_s, found, verdict, remedy)


def judged_session(
    took_ms: list[float], repetition_time_s: float, found: str, verdict: CheckResult, remedy: str
) -> Finding:
    """Judge how long volumes took to become durable, beside what else was found.

    Parameters
    ----------
    took_ms
        For each volume.
    repetition_time_s
        Between two volumes; `nan` where it is not known.
    found, verdict, remedy
        Of the folder itself.
    """
    p50_ms, p95_ms = (float(v) for v in np.percentile(took_ms, (50, 95)))
    share = p95_ms / (1e3 * repetition_time_s)
    figures = {"durable_p50_ms": p50_ms, "durable_p95_ms": p95_ms}
    found += (
        f"a volume is durable after {p50_ms:.1f} ms at the median, {p95_ms:.1f} ms at the 95th "
        "percentile"
    )
    if math.isfinite(share):
        found += f" ({share:.1%} of the repetition time)"
    if share >= COMFORT:
        slow = CheckResult.RED if share >= LIMIT else CheckResult.YELLOW
        advice = "put the session on a local disk (SSD), and close what writes to this one"
        return Finding(SESSION, slow, f"{found}: this disk is slow", advice, figures)
    return Finding(SESSION, verdict, found, remedy, figures)


def _unfinished(folder: Path, digest: str) -> tuple[str, CheckResult, str]:
    """Say what is in the folder, whether serving can go on with it, and what else can be done."""
    if not (folder / RECORD).exists():
        there = "is there" if folder.is_dir() else "will be made"
        return f"{folder} {there}, no run in it; ", CheckResult.GREEN, ""
    session = read_session(folder)
    if not session.runs or session.runs[-1].ended:
        many = count(len(session.runs), "finished run")
        return f"{folder} holds {many}, the next one is added; ", CheckResult.GREEN, ""
    newest = session.runs[-1]
    many = count(len(newest.outcomes), "outcome")
    found = f"{folder} holds an unfinished run {newest.run} of {many}"
    begun_with = str(newest.start.header["bundle"])
    if digest and begun_with != digest:
        return (
            f"{found}, begun with bundle {begun_with}; this is bundle {digest}",
            CheckResult.RED,
            "serve with that bundle, or choose another session folder",
        )
    return (
        f"{found}: serving goes on with it; ",
        CheckResult.YELLOW,
        "choose another session folder if a new participant or run begins",
    )


def durable_ms(place: Path, volume_bytes: int, clock: Clock) -> list[float]:
    """Return how long a session's log takes to make each of some volumes durable.

    Parameters
    ----------
    place
        A folder; what is made in it is removed again.
    volume_bytes
        Of one volume.
    clock
        Measures.

    Raises
    ------
    ConfigError
        Nothing can be written there.
    """
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=PROBE) as scratch:
            took_ms = []
            with Journal(Path(scratch) / "session") as journal:
                for _ in range(WRITES):
                    entry = Entry(Kind.OBJECT, {"name": ""}, secrets.token_bytes(volume_bytes))
                    began_ns = clock.monotonic_ns()
                    journal.append_objects([entry])
                    took_ms.append((clock.monotonic_ns() - began_ns) / 1e6)
            return took_ms
    except OSError as error:
        raise ConfigError(
            f"nothing can be written to {place} ({error.strerror}); mend its permissions, make "
            "room, or choose another place for the session"
        ) from error


def check_disk(subject: Subject) -> Finding:
    """Compare the room that the session needs with what there is."""
    state = {} if subject.pipeline is None else subject.pipeline.state()
    needed_bytes = session_bytes(
        subject.bundle, subject.plan.minutes, sum(array.nbytes for array in state.values())
    )
    folder = subject.plan.settings.session
    place = nearest_existing(folder)
    return judged_disk(needed_bytes, shutil.disk_usage(place).free, subject.plan.minutes)


def session_bytes(bundle: Bundle, minutes: float, state_bytes: int) -> int:
    """Return how much a session of so many minutes of scanning takes on disk, generously.

    Parameters
    ----------
    bundle
        Says how large volumes are, and how many a minute.
    minutes
        Of scanning.
    state_bytes
        Of a checkpoint.
    """
    shape = bundle.manifest.source_shape
    volumes = int(np.ceil(minutes * 60 / bundle.manifest.repetition_time_s))
    volume_bytes = STORED_BYTES * int(np.prod(shape)) + HEADER_BYTES * shape[2] + RECORD_BYTES
    return volumes * volume_bytes + CHECKPOINTS * state_bytes


def judged_disk(needed_bytes: int, free_bytes: int, minutes: float) -> Finding:
    """Judge the room on a disk."""
    figures: dict[str, float] = {
        "needed_bytes": needed_bytes,
        "free_bytes": free_bytes,
        "minutes": minutes,
    }
    found = (
        f"{minutes:g} minutes of scanning take {_size(needed_bytes)}; {_size(free_bytes)} are free"
    )
    remedy = "make room, or choose a session folder on another disk"
    if free_bytes < needed_bytes:
        return Finding(DISK, CheckResult.RED, found, remedy, figures)
    if free_bytes < 2 * needed_bytes + RESERVE_BYTES:
        return Finding(DISK, CheckResult.YELLOW, f"{found}: that is tight", remedy, figures)
    return green(DISK, found, figures)


def _size(size_bytes: int) -> str:
    for unit, step in (("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= step:
            return f"{size_bytes / step:,.1f} {unit}"
    return f"{size_bytes / 1e3:,.0f} kB"
