"""Checks of the session folder and of the free disk space."""

import math
import secrets
import shutil
import tempfile
from pathlib import Path

import numpy as np

from rtdecode.bundle import Bundle
from rtdecode.check.context import CheckContext
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
YELLOW_SHARE, RED_SHARE = 0.1, 0.5
"""Shares of the repetition time that making a volume durable may take before the result is yellow
or red."""
USUAL_SHAPE = (64, 64, 36)
"""Matrix to assume without a bundle."""
STORED_BYTES = 2
"""Stored size of one voxel."""
HEADER_BYTES = 8 << 10
"""Size of a DICOM header; at worst each slice has one."""
RECORD_BYTES = 8 << 10
"""Upper estimate for an outcome in the record."""
CHECKPOINTS = 3
"""Checkpoints at one time: two are kept while the next is written."""
RESERVE_BYTES = 1 << 30
"""Free space to leave for other programs."""


def check_session(context: CheckContext) -> Finding:
    """Inspect the session folder, and measure how fast its disk makes volumes durable."""
    folder = context.plan.settings.session
    check_session_folder(folder)
    bundle = context.loaded_bundle
    found, verdict, remedy = _inspect_folder(folder, "" if bundle is None else bundle.digest)
    if verdict is CheckResult.RED:
        return Finding(SESSION, verdict, found, remedy)
    place = nearest_existing(folder)
    shape = USUAL_SHAPE if bundle is None else bundle.manifest.source_shape
    took_ms = durable_ms(place, STORED_BYTES * int(np.prod(shape)), context.clock)
    repetition_s = math.nan if bundle is None else bundle.manifest.repetition_time_s
    return judge_session(took_ms, repetition_s, found, verdict, remedy)


def judge_session(
    took_ms: list[float], repetition_time_s: float, found: str, verdict: CheckResult, remedy: str
) -> Finding:
    """Combine the durability times with the state of the folder.

    Parameters
    ----------
    took_ms
        Time to make each volume durable.
    repetition_time_s
        Time between two volumes; `nan` if not known.
    found, verdict, remedy
        Result for the folder itself.
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
    if share >= YELLOW_SHARE:
        slow = CheckResult.RED if share >= RED_SHARE else CheckResult.YELLOW
        advice = "put the session on a local disk (SSD), and close programs that write to this one"
        return Finding(SESSION, slow, f"{found}: this disk is slow", advice, figures)
    return Finding(SESSION, verdict, found, remedy, figures)


def _inspect_folder(folder: Path, digest: str) -> tuple[str, CheckResult, str]:
    """Describe the runs in the folder, whether the service can use it, and the remedy."""
    if not (folder / RECORD).exists():
        state = "exists" if folder.is_dir() else "will be created"
        return f"{folder} {state} and has no run; ", CheckResult.GREEN, ""
    session = read_session(folder)
    if not session.runs or session.runs[-1].ended:
        runs = count(len(session.runs), "finished run")
        return f"{folder} has {runs}; the next one is added; ", CheckResult.GREEN, ""
    newest = session.runs[-1]
    outcomes = count(len(newest.outcomes), "outcome")
    found = f"{folder} has the unfinished run {newest.run} with {outcomes}"
    run_bundle = str(newest.start.header["bundle"])
    if digest and run_bundle != digest:
        return (
            f"{found} of bundle {run_bundle}; this is bundle {digest}",
            CheckResult.RED,
            "serve with that bundle, or choose another session folder",
        )
    return (
        f"{found}: the service continues it; ",
        CheckResult.YELLOW,
        "choose another session folder for a new participant or run",
    )


def durable_ms(place: Path, volume_bytes: int, clock: Clock) -> list[float]:
    """Return the times in which a session's log makes test volumes durable, in milliseconds.

    Parameters
    ----------
    place
        A folder; the test files in it are removed.
    volume_bytes
        Size of one volume.
    clock
        Clock for the measurement.

    Raises
    ------
    ConfigError
        The folder cannot be written.
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
            f"nothing can be written to {place} ({error.strerror}); correct its permissions, "
            "free space, or choose another place for the session"
        ) from error


def check_disk(context: CheckContext) -> Finding:
    """Compare the disk space that the session needs with the free space."""
    state = {} if context.pipeline is None else context.pipeline.state()
    needed_bytes = session_bytes(
        context.bundle, context.plan.minutes, sum(array.nbytes for array in state.values())
    )
    folder = context.plan.settings.session
    place = nearest_existing(folder)
    return judge_disk(needed_bytes, shutil.disk_usage(place).free, context.plan.minutes)


def session_bytes(bundle: Bundle, minutes: float, state_bytes: int) -> int:
    """Return an upper estimate of the disk space for a session.

    Parameters
    ----------
    bundle
        Bundle that gives the size and rate of the volumes.
    minutes
        Scanning time.
    state_bytes
        Size of a checkpoint.
    """
    shape = bundle.manifest.source_shape
    volumes = int(np.ceil(minutes * 60 / bundle.manifest.repetition_time_s))
    volume_bytes = STORED_BYTES * int(np.prod(shape)) + HEADER_BYTES * shape[2] + RECORD_BYTES
    return volumes * volume_bytes + CHECKPOINTS * state_bytes


def judge_disk(needed_bytes: int, free_bytes: int, minutes: float) -> Finding:
    """Compare needed and free disk space."""
    figures: dict[str, float] = {
        "needed_bytes": needed_bytes,
        "free_bytes": free_bytes,
        "minutes": minutes,
    }
    found = (
        f"{minutes:g} minutes of scanning need {_size(needed_bytes)}; {_size(free_bytes)} are free"
    )
    remedy = "free space, or choose a session folder on another disk"
    if free_bytes < needed_bytes:
        return Finding(DISK, CheckResult.RED, found, remedy, figures)
    if free_bytes < 2 * needed_bytes + RESERVE_BYTES:
        return Finding(DISK, CheckResult.YELLOW, f"{found}: this is barely enough", remedy, figures)
    return green(DISK, found, figures)


def _size(size_bytes: int) -> str:
    for unit, step in (("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= step:
            return f"{size_bytes / step:,.1f} {unit}"
    return f"{size_bytes / 1e3:,.0f} kB"
