"""Writes the record into the session's folder, or into a BIDS data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtdecode.bundle import Manifest, read_manifest
from rtdecode.errors import BundleError, ConfigError
from rtdecode.journal import RecordedRun, Session, read_session
from rtdecode.record.bids import recorded_runs, write_dataset, write_text
from rtdecode.record.bids_entities import BidsEntities, labels_of
from rtdecode.record.event_rows import EventRow, presented_events, read_events
from rtdecode.record.report import report
from rtdecode.record.session_data import SessionData

BIDS = "bids"
REPORT = "session_report.html"


@dataclass(frozen=True, slots=True)
class RecordFiles:
    """The files of a record."""

    out: Path
    """The data set's folder."""
    report: Path
    runs: int
    files: int
    events: int
    events_without_onset: int
    """Left out: reported without an onset while no volume arrived."""


def write_in_session(folder: Path) -> RecordFiles:
    """Write a session's record into its own folder, with the labels of the folder's name.

    Raises
    ------
    ConfigError
        The session cannot be read, or has no outcome.
    OSError
        The disk is full or failing.
    """
    return _write(folder, folder / BIDS, folder / REPORT, labels_of(folder), (), None)


def write_record(
    folder: Path,
    out: Path,
    labels: BidsEntities,
    events: Sequence[Path] = (),
    bundle: Path | None = None,
) -> RecordFiles:
    """Write a session's record into a BIDS data set.

    Parameters
    ----------
    folder
        The session's folder; a service may write to it at the same time.
    out
        The data set's folder: new, or written by rtdecode.
    labels
        The BIDS entities in the file names.
    events
        Events files, one for each run with outcomes; they replace the reported events.
    bundle
        The bundle's folder, if the bundle was moved.

    Raises
    ------
    ConfigError
        The session cannot be read or has no outcome, `out` contains something else, the events
        files are wrong, or the bundle is not the one of this session.
    OSError
        The disk is full or failing.
    """
    return _write(
        folder, out, out / f"{labels.title}_run-{labels.run}_report.html", labels, events, bundle
    )


def _write(
    folder: Path,
    out: Path,
    page: Path,
    labels: BidsEntities,
    files: Sequence[Path],
    bundle: Path | None,
) -> RecordFiles:
    session = read_session(folder)
    runs = recorded_runs(session)
    events, unknown = presented_events(session)
    if files:
        events, unknown = _events_of_files(files, runs), 0
    data = SessionData(session, runs, labels, events, unknown, _manifests(session, runs, bundle))
    paths = write_dataset(out, session, labels, events)
    write_text(page, report(data))
    n_events = sum(len(events.get(run.run, ())) for run in runs)
    return RecordFiles(out, page, len(runs), len(paths), n_events, unknown)


def _events_of_files(
    files: Sequence[Path], runs: Sequence[RecordedRun]
) -> dict[int, list[EventRow]]:
    if len(files) != len(runs):
        raise ConfigError(
            f"{len(files)} events files for {len(runs)} runs with outcomes; give --events once for "
            "each run, in their order"
        )
    return {run.run: read_events(file) for run, file in zip(runs, files, strict=True)}


def _manifests(
    session: Session, runs: Sequence[RecordedRun], bundle: Path | None
) -> dict[str, Manifest]:
    """Return the manifests of the runs' bundles that can be found."""
    digests = {run.bundle for run in runs}
    found: dict[str, Manifest] = {}
    if bundle is not None:
        manifest, digest = read_manifest(bundle)
        if digest not in digests:
            raise ConfigError(
                f"{bundle} is bundle {digest}; this session was decided by "
                f"{' and '.join(sorted(digests))}"
            )
        found[digest] = manifest
    for serving in session.servings:
        place = serving.settings.get("bundle")
        if place is None or serving.bundle in found:
            continue
        try:
            manifest, digest = read_manifest(Path(place))
        except (BundleError, OSError):
            continue  # moved, or on another computer: the report says so
        if digest in digests:
            found[digest] = manifest
    return found
