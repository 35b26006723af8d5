"""The data set is complete and valid, can be extended, and never overwrites other data."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtdecode.errors import ConfigError
from rtdecode.journal import ServiceStart
from rtdecode.record import BidsEntities, EventRow
from rtdecode.record.bids import write_dataset
from rtdecode.types import Skipped, SkipReason

EVENTS = {1: [EventRow(0.0, 4.0, "rest", "program"), EventRow(4.0, None, "faces", "service")]}


def find_validator() -> str:
    """Return the BIDS validator's command, or skip."""
    in_venv = Path(sys.executable).with_name("bids-validator-deno")
    found = str(in_venv) if in_venv.exists() else shutil.which("bids-validator-deno")
    if found is None:
        pytest.skip("the BIDS validator (bids-validator-deno) is not installed")
    return found


def issues(folder: Path) -> list[tuple[str, str]]:
    """Return severity and code of each issue that the validator finds in a data set."""
    done = subprocess.run(
        [find_validator(), str(folder), "--format", "json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return [(i["severity"], i["code"]) for i in json.loads(done.stdout)["issues"]["issues"]]


@pytest.fixture
def session(make_run, make_session):
    """Return a session of two runs with outcomes and one without."""
    runs = (
        make_run(),
        make_run([Skipped(0, SkipReason.GAP)], run=2, first=9, ended=False),
        make_run([], run=3),
    )
    return make_session(*runs, servings=[ServiceStart(0, "feedbeef0123", {"late": "skip"})])


def test_validator_finds_no_error_in_data_set(session, tmp_path):
    """The only warning is about the authors, which rtdecode does not know."""
    write_dataset(tmp_path / "out", session, BidsEntities("01", "1"), EVENTS)
    assert issues(tmp_path / "out") == [("warning", "TOO_FEW_AUTHORS")]


def test_validator_finds_a_wrong_column_name(session, tmp_path):
    """The test above can fail."""
    write_dataset(tmp_path / "out", session, BidsEntities("01", "1"), EVENTS)
    (events,) = (tmp_path / "out").rglob("*_events.tsv")
    events.write_text(events.read_text().replace("onset\t", "when\t"))
    assert any(severity == "error" for severity, _ in issues(tmp_path / "out"))


def test_each_run_with_outcomes_has_its_files(session, tmp_path):
    """A run without outcomes has no files, a run without events has no events file."""
    written = write_dataset(tmp_path / "out", session, BidsEntities("01", None, "nf", "5"), EVENTS)
    folder = tmp_path / "out" / "sub-01" / "func"
    found = {path.name for path in folder.iterdir()}
    first = {"desc-decoding_timeseries", "desc-confounds_timeseries", "events"}
    assert found == {
        f"sub-01_task-nf_{run}_{suffix}.{kind}"
        for run, suffixes in (("run-5", first), ("run-6", first - {"events"}))
        for suffix in suffixes
        for kind in ("tsv", "json")
    }
    assert set(written) == {p for p in (tmp_path / "out").rglob("*") if p.is_file()}


def test_sidecar_describes_run_and_all_columns(session, tmp_path):
    """The sidecar has bundle, classes, sampling and late decisions, and describes all columns."""
    write_dataset(tmp_path, session, BidsEntities("01"), EVENTS)
    for table in tmp_path.rglob("*.tsv"):
        about = json.loads(table.with_suffix(".json").read_text("utf-8"))
        columns = table.read_text("utf-8").splitlines()[0].split("\t")
        assert set(columns) <= set(about), table.name
    path = tmp_path / "sub-01/func/sub-01_task-nf_run-1_desc-decoding_timeseries.json"
    about = json.loads(path.read_text("utf-8"))
    assert about["Classes"] == ["faces", "places"]
    assert (about["RepetitionTime"], about["SamplingFrequency"]) == (2.0, 0.5)
    assert (about["Session"], about["Bundle"]) == ("5e55104", "feedbeef0123")
    assert (about["LateDecisions"], about["RunEnded"]) == ("skip", True)
    assert len(about["OutcomesSHA256"]) == 64


def test_same_session_gives_same_bytes(session, tmp_path):
    """A second write of the same session gives the same files."""
    for name in ("one", "other"):
        write_dataset(tmp_path / name, session, BidsEntities("01"), EVENTS)
        write_dataset(tmp_path / name, session, BidsEntities("01"), EVENTS)
    contents = [
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        for root in (tmp_path / "one", tmp_path / "other")
    ]
    assert contents[0] == contents[1]


def test_data_set_takes_several_sessions(session, make_session, make_run, tmp_path):
    """Each session is listed once as a source; files of another session are not overwritten."""
    other = make_session(make_run())
    object.__setattr__(other, "session", "07e4")
    write_dataset(tmp_path, session, BidsEntities("01", "1"), EVENTS)
    with pytest.raises(ConfigError, match="of another session"):
        write_dataset(tmp_path, other, BidsEntities("01", "1"), {})
    description = tmp_path / "dataset_description.json"
    added = {**json.loads(description.read_text("utf-8")), "Authors": ["A", "B"], "Name": "Mine"}
    description.write_text(json.dumps(added), encoding="utf-8")
    write_dataset(tmp_path, other, BidsEntities("01", "2"), {})
    about = json.loads(description.read_text("utf-8"))
    sources = [source["Version"] for source in about["SourceDatasets"]]
    assert sources == ["rtdecode session 5e55104", "rtdecode session 07e4"]
    assert (about["Authors"], about["Name"]) == (["A", "B"], "Mine")
    assert (about["DatasetType"], about["GeneratedBy"][0]["Name"]) == ("derivative", "rtdecode")


def test_folders_of_other_programs_are_refused(session, tmp_path):
    """Refused: a raw data set, one of another program, and a folder with other files."""
    (tmp_path / "raw").mkdir()
    description = tmp_path / "raw" / "dataset_description.json"
    for content in ('{"Name": "raw"}', '{"GeneratedBy": [{"Name": "fMRIPrep"}]}', "[]", "{"):
        description.write_text(content)
        with pytest.raises(ConfigError):
            write_dataset(tmp_path / "raw", session, BidsEntities(), {})
    assert [p.name for p in (tmp_path / "raw").iterdir()] == [description.name]
    (tmp_path / "any").mkdir()
    (tmp_path / "any" / "thesis.doc").touch()
    with pytest.raises(ConfigError, match="not empty"):
        write_dataset(tmp_path / "any", session, BidsEntities(), {})
