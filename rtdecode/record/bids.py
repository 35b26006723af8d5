"""Writes a session as a BIDS derivative, with one set of files for each run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from rtdecode import __version__
from rtdecode.errors import ConfigError
from rtdecode.journal import RecordedRun, Session
from rtdecode.record import bids_tables
from rtdecode.record.bids_entities import BidsEntities
from rtdecode.record.bids_tables import Column
from rtdecode.record.event_rows import EventRow
from rtdecode.record.summary import outcomes_sha256, service_starts

VERSION = "1.10.1"
"""Version of BIDS."""
NAME = "rtdecode"
DESCRIPTION = "dataset_description.json"
# BIDS 1.10 has no suffix for these files. Their names are those of fMRIPrep.
IGNORED = "*_timeseries.tsv\n*_timeseries.json\n*.html\n"
README = """# Decoded in real time

A BIDS derivative, written by rtdecode. It contains a decoder's real-time outcome for each volume of
a functional run, and the stimulus events. Each run has one set of files.

- `*_desc-decoding_timeseries.tsv`: one row for each volume, with the probabilities of the
  classes, the label, the reason if there is no decision, and the duration of each stage.
- `*_desc-confounds_timeseries.tsv`: one row for each volume, with motion and quality.
- `*_events.tsv`: the stimulus events, if they are known.

The JSON file of each table describes its columns. The report (HTML) gives an overview of a session.
Times are the only data that come from DICOM headers.
"""


def write_dataset(
    out: Path, session: Session, labels: BidsEntities, events: Mapping[int, Sequence[EventRow]]
) -> list[Path]:
    """Write the files of every run that has outcomes; return their paths.

    The files are added to a data set that rtdecode wrote before. Existing files of the same
    session's runs are replaced.

    Raises
    ------
    ConfigError
        `out` contains something else, or another session's run with the same name.
    OSError
        The disk is full or failing.
    """
    runs = recorded_runs(session)
    if not runs:
        raise ConfigError("the session has no outcome yet, so there is nothing to write")
    description = _description(out, session)
    folder = out / labels.folder
    _refuse_others(folder, session, labels, runs)
    files: dict[Path, str] = {
        out / DESCRIPTION: description,
        out / "README.md": README,
        out / ".bidsignore": IGNORED,
    }
    for run in runs:
        stem = labels.stem(run.run)
        rows = events.get(run.run, ())
        parts: dict[str, tuple[list[Column], dict[str, Any]]] = {
            "desc-decoding_timeseries": (bids_tables.decoding(run), _decoding_facts(session, run)),
            "desc-confounds_timeseries": (
                bids_tables.confounds(run),
                {"Description": "Motion and quality, computed in real time.", **_sampling(run)},
            ),
        }
        if rows:
            about = {"Description": "Stimulus events of the run."}
            parts["events"] = (bids_tables.events(rows), about)
        for suffix, (columns, about) in parts.items():
            files[folder / f"{stem}_{suffix}.tsv"] = bids_tables.table(columns)
            files[folder / f"{stem}_{suffix}.json"] = _json(
                {**about, **bids_tables.descriptions(columns)}
            )
    for path, content in files.items():
        write_text(path, content)
    return list(files)


def recorded_runs(session: Session) -> list[RecordedRun]:
    """Return the runs that have outcomes."""
    return [run for run in session.runs if run.outcomes]


def write_text(path: Path, content: str) -> None:
    """Replace a file in one step, so that readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content.encode())  # the same line ends on every system
    part.replace(path)


def _decoding_facts(session: Session, run: RecordedRun) -> dict[str, Any]:
    starts = service_starts(session, run)
    late = dict.fromkeys(str(s.settings.get("late", "publish")) for s in starts)
    return {
        "Description": "The real-time outcome of each volume.",
        **_sampling(run),
        "Classes": run.classes,
        "Bundle": run.bundle,
        "Session": session.session,
        "Run": run.run,
        "RunEnded": run.ended,
        "OutcomesSHA256": outcomes_sha256(run),
        "LateDecisions": "publish" if list(late) in ([], ["publish"]) else " and ".join(late),
        "Software": list(
            dict.fromkeys(f"rtdecode {start.version}, {start.system}" for start in starts)
        ),
    }


def _sampling(run: RecordedRun) -> dict[str, Any]:
    if math.isnan(run.repetition_time_s):
        return {"StartTime": 0.0}
    tr_s = run.repetition_time_s
    return {"RepetitionTime": tr_s, "SamplingFrequency": 1 / tr_s, "StartTime": 0.0}


def _description(out: Path, session: Session) -> str:
    """Return the data set's description, with the session among its sources.

    Fields that other people have added, such as the authors, are unchanged.
    """
    before: dict[str, Any] = {}
    sources: list[Any] = []
    path = out / DESCRIPTION
    if path.exists():
        before = _read(path)
        programs = before.get("GeneratedBy")
        if not isinstance(programs, list) or not any(
            isinstance(program, dict) and program.get("Name") == NAME for program in programs
        ):
            raise ConfigError(
                f"{out} is a BIDS data set that rtdecode did not write; choose another folder, for "
                "example its derivatives/rtdecode"
            )
        found = before.get("SourceDatasets")
        sources = found if isinstance(found, list) else []
    elif out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not a data set and not empty; choose another folder")
    source = {"Version": f"rtdecode session {session.session}"}
    if source not in sources:
        sources.append(source)
    return _json(
        {
            **before,
            "Name": before.get("Name", "Decoded in real time with rtdecode"),
            "BIDSVersion": VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [
                {
                    "Name": NAME,
                    "Version": __version__,
                    "Description": "Streaming real-time decoder for fMRI. This version wrote the "
                    "files. The sidecar of each table has the version that made the decisions.",
                }
            ],
            "SourceDatasets": sources,
        }
    )


def _refuse_others(
    folder: Path, session: Session, labels: BidsEntities, runs: Sequence[RecordedRun]
) -> None:
    problems = []
    for run in runs:
        path = folder / f"{labels.stem(run.run)}_desc-decoding_timeseries.json"
        if path.exists() and _read(path).get("Session") != session.session:
            problems.append(f"{path} is of another session; choose other labels for this session")
    if problems:
        raise ConfigError(problems)


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; choose another folder") from error


def _json(content: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"
