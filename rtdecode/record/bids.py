"""A session as a BIDS derivative: one set of files a run."""

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
from rtdecode.record.summary import outcomes_sha256, served

VERSION = "1.10.1"
"""Of BIDS."""
NAME = "rtdecode"
DESCRIPTION = "dataset_description.json"
# No suffix of BIDS 1.10 is for these; the names are those that derivatives use (fMRIPrep).
IGNORED = "*_timeseries.tsv\n*_timeseries.json\n*.html\n"
README = """# Decoded in real time

A BIDS derivative, written by rtdecode: what a decoder made of each volume of a functional run while
it was acquired, and what was presented. One set of files a run.

- `*_desc-decoding_timeseries.tsv`: one row a volume, with the probabilities of the classes, the
  label, the reason where there is no decision, and how long each stage took.
- `*_desc-confounds_timeseries.tsv`: one row a volume, with motion and quality.
- `*_events.tsv`: what was presented, where it is known.

The JSON file beside each table says what its columns mean. The report (HTML) shows a session at a
glance. Nothing here is from a DICOM header but times, motion and measures of quality.
"""


def write_dataset(
    out: Path, session: Session, labels: BidsEntities, events: Mapping[int, Sequence[EventRow]]
) -> list[Path]:
    """Write the files of every run that has outcomes; return their paths.

    A data set that rtdecode wrote before is added to. Of the same session's runs, files that are
    there already are replaced.

    Raises
    ------
    ConfigError
        `out` holds something else, or another session's run under the same name.
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
        presented = events.get(run.run, ())
        parts: dict[str, tuple[list[Column], dict[str, Any]]] = {
            "desc-decoding_timeseries": (bids_tables.decoding(run), _decoding_facts(session, run)),
            "desc-confounds_timeseries": (
                bids_tables.confounds(run),
                {"Description": "Motion and quality, as computed in real time.", **_sampled(run)},
            ),
        }
        if presented:
            about = {"Description": "What was presented to the participant."}
            parts["events"] = (bids_tables.events(presented), about)
        for suffix, (columns, about) in parts.items():
            files[folder / f"{stem}_{suffix}.tsv"] = bids_tables.table(columns)
            files[folder / f"{stem}_{suffix}.json"] = _json(
                {**about, **bids_tables.described(columns)}
            )
    for path, content in files.items():
        write_text(path, content)
    return list(files)


def recorded_runs(session: Session) -> list[RecordedRun]:
    """Return the runs that have something to tell."""
    return [run for run in session.runs if run.outcomes]


def write_text(path: Path, content: str) -> None:
    """Write a file whole: who reads it meanwhile sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content.encode())  # no line ends of the system's
    part.replace(path)


def _decoding_facts(session: Session, run: RecordedRun) -> dict[str, Any]:
    servings = served(session, run)
    late = dict.fromkeys(str(s.settings.get("late", "publish")) for s in servings)
    return {
        "Description": "What was decided of each volume in real time.",
        **_sampled(run),
        "Classes": run.classes,
        "Bundle": run.bundle,
        "Session": session.session,
        "Run": run.run,
        "RunEnded": run.ended,
        "OutcomesSHA256": outcomes_sha256(run),
        "LateDecisions": "publish" if list(late) in ([], ["publish"]) else " and ".join(late),
        "Software": list(
            dict.fromkeys(f"rtdecode {serving.version}, {serving.system}" for serving in servings)
        ),
    }


def _sampled(run: RecordedRun) -> dict[str, Any]:
    if math.isnan(run.repetition_time_s):
        return {"StartTime": 0.0}
    tr_s = run.repetition_time_s
    return {"RepetitionTime": tr_s, "SamplingFrequency": 1 / tr_s, "StartTime": 0.0}


def _description(out: Path, session: Session) -> str:
    """Return the data set's description, with the session among its sources.

    What somebody has added to it, its authors for one, stays.
    """
    before: dict[str, Any] = {}
    sources: list[Any] = []
    path = out / DESCRIPTION
    if path.exists():
        before = _read(path)
        makers = before.get("GeneratedBy")
        if not isinstance(makers, list) or not any(
            isinstance(maker, dict) and maker.get("Name") == NAME for maker in makers
        ):
            raise ConfigError(
                f"{out} is a BIDS data set that rtdecode did not write; name another folder, for "
                "one its derivatives/rtdecode"
            )
        found = before.get("SourceDatasets")
        sources = found if isinstance(found, list) else []
    elif out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is no data set and not empty; name another folder")
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
                    "Description": "Streaming real-time decoder for fMRI; the version is the one "
                    "that wrote these files, the one that decided is in each table's sidecar",
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
            problems.append(f"{path} is of another session; give this one other labels")
    if problems:
        raise ConfigError(problems)


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; name another folder") from error


def _json(content: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"
