"""Sessions of several people on disk."""

import json

import pytest

from calibration.data.blocks import find_blocks
from calibration.simulation.cohort import CohortSettings, states_of, write_cohort
from rtdecode.cli import main
from rtdecode.dicom import assemble
from rtdecode.errors import ConfigError
from rtdecode.events import read_events

SMALL = CohortSettings(subjects=2, states=1, minutes=1.1, runs=1, repetition_time_s=2.0, seed=4)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Return two people's folder, what was written, and the progress that was told."""
    out = tmp_path_factory.mktemp("cohort") / "new"
    told = []
    return out, write_cohort(SMALL, out, lambda *step: told.append(step)), told


def test_each_person_has_runs_of_images_and_events(cohort) -> None:
    """Volumes as many as said, blocks that fit into them, a folder for each."""
    out, written, told = cohort
    assert [run.subject for run in written] == ["sub-01", "sub-02"]
    for run in written:
        assert run.dicom == out / run.subject / "run-1" / "dicom"
        volumes = assemble([run.dicom])
        assert len(volumes) == run.volumes == 32
        blocks = find_blocks(read_events(run.events), run.events, 64.0)
        assert [block.trial_type for block in blocks] == ["left_hand"] * 2
    assert told[-1] == ("write volumes", 64, 64)


def test_people_differ_and_the_seed_repeats_them(cohort, tmp_path) -> None:
    """The same settings give the same files to the last byte."""
    _, written, _ = cohort
    again = write_cohort(SMALL, tmp_path / "again")
    contents = [sorted(p.read_bytes() for p in run.dicom.iterdir()) for run in (*written, *again)]
    assert contents[0] == contents[2]
    assert contents[1] == contents[3]
    assert contents[0] != contents[1]


def test_what_is_true_is_written_down(cohort) -> None:
    """Settings, design and population, for whoever wants to make more."""
    out, _, _ = cohort
    truth = json.loads((out / "simulation.json").read_text(encoding="utf-8"))
    assert truth["cohort"]["seed"] == 4
    assert truth["design"]["protocol"]["repetition_time_s"] == 2.0
    assert truth["population"]["states"][0]["trial_type"] == "left_hand"


def test_more_states_come_from_the_dictionary() -> None:
    """The known four first; then as many as are asked for, with names of their own."""
    names = [state.trial_type for state in states_of(9, 1)]
    assert names[:4] == ["left_hand", "right_hand", "faces", "places"]
    assert len(set(names)) == 9


def test_settings_that_make_no_sense_are_told_together(tmp_path) -> None:
    """Every problem, with its remedy, and nothing is written."""
    (tmp_path / "there").touch()
    with pytest.raises(ConfigError) as caught:
        write_cohort(CohortSettings(minutes=2.0, repetition_time_s=9.0), tmp_path)
    assert len(caught.value.problems) == 3
    assert "give 3.1 minutes or more" in caught.value.problems[0]
    assert [p.name for p in tmp_path.iterdir()] == ["there"]


def test_the_command_says_what_to_do_next(tmp_path, capsys) -> None:
    """`rtdecode simulate` writes and names the command that calibrates on it."""
    out = tmp_path / "cohort"
    command = ["simulate", "--out", str(out), "--subjects", "1", "--states", "1", "--runs", "1"]
    assert main([*command, "--minutes", "1.1", "--tr", "4", "--vendor", "ge"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "next: rtdecode calibrate --run" in told
    assert len(list((out / "sub-01" / "run-1" / "dicom").iterdir())) == 16 * 36
