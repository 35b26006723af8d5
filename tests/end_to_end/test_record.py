"""The record of a session: tables, events and a report."""

import csv
import json
import math
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from rtdecode.cli import main
from rtdecode.journal import Journal, read_session
from rtdecode.types import Decision, Skipped


def rows(path):
    """Return a table's rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def run_export(*arguments):
    """Run the command."""
    return main(["export", *map(str, arguments)])


def contents(folder):
    """Return every file's bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def slow_decoder(stand_in):
    """Return a decoder that is late at one volume, and measures nothing at another."""

    class SlowDecoder(stand_in):
        slow, silent = 3, 4
        done = threading.Event()

        def step(self, item):
            outcome = super().step(item)
            if isinstance(outcome, Decision) and item.index == self.slow:
                self.done.wait(timeout=0.2)
            if isinstance(outcome, Decision) and item.index == self.silent:
                nan = math.nan
                quality = replace(outcome.quality, dvars=nan, framewise_displacement=nan)
                outcome = replace(outcome, quality=quality, acquired_s=nan)
            return outcome

    return SlowDecoder()


@pytest.fixture
def recorded(start, play, slow_decoder):
    """Serve a run with a gap, a late decision, a pause, a missing measure, and events."""
    service = start(slow_decoder, volumes=9, deadline_s=0.15)
    play(service)
    return service.finish()


@pytest.fixture
def play(export, scanner):
    """Return a function that plays the run to a service."""

    def play(service):
        with service.outcomes() as outcomes, service.control() as control:
            control.event("rest")
            for index in (0, 1, 3, 4):
                export(f"{index}.dcm", scanner.mosaic(index))
            assert [next(outcomes).index for _ in range(5)] == [0, 1, 2, 3, 4]
            control.event("left hand", 3.0, 4.5)
            control.pause()
            for index in (5, 6):
                export(f"{index}.dcm", scanner.mosaic(index))
            assert [next(outcomes).outcome.reason for _ in range(2)] == ["paused"] * 2
            control.resume()
            for index in (7, 8):
                export(f"{index}.dcm", scanner.mosaic(index))
            assert [next(outcomes).index for _ in range(2)] == [7, 8]

    return play


def test_the_tables_have_the_values_of_the_journal(recorded, settings, tmp_path, capsys):
    """They have every value of the journal, and are valid by the BIDS validator."""
    assert (recorded.decisions, recorded.skipped, recorded.late >= 1) == (6, 3, True)
    out = tmp_path / "derivatives"
    labels = ["--subject", "01", "--session-label", "2", "--run", "3"]
    assert run_export(settings.session, "--bids", out, *labels, "--json") == 0
    printed = json.loads(capsys.readouterr().out)["bids"]
    assert (printed["runs"], printed["events"], printed["events_without_onset"]) == (1, 2, 0)
    folder = out / "sub-01" / "ses-2" / "func"
    stem = "sub-01_ses-2_task-nf_run-3"
    decoding = rows(folder / f"{stem}_desc-decoding_timeseries.tsv")
    confounds = rows(folder / f"{stem}_desc-confounds_timeseries.tsv")
    with Journal(settings.session) as journal:
        outcomes = [numbered.outcome for numbered in journal.outcomes()]
    assert len(decoding) == len(confounds) == len(outcomes) == 9
    for row, confound, outcome in zip(decoding, confounds, outcomes, strict=True):
        assert row["volume"] == str(outcome.index)
        if isinstance(outcome, Skipped):
            assert (row["skipped_reason"], row["label"]) == (outcome.reason, "n/a")
            continue
        names = ("rest", "left_hand", "right_hand", "tongue")
        found = tuple(float(row[f"probability_{name}"]) for name in names)
        assert (found, row["label"]) == (outcome.probabilities, outcome.label)
        assert row["late"] == str(outcome.late).lower()
        stamps = outcome.stamps
        took_s = (stamps.recorded_ns - stamps.received_ns) / 1e9
        assert float(row["latency_total"]) == pytest.approx(took_s, abs=1e-6)
        assert float(confound["trans_x"]) == outcome.motion.trans_x
    assert [row["skipped_reason"] for row in decoding if row["skipped_reason"] != "n/a"] == [
        *("gap", "paused", "paused")
    ]
    assert decoding[3]["late"] == "true"
    assert (decoding[4]["acquired"], confounds[4]["dvars"]) == ("n/a", "n/a")
    assert confounds[2]["trans_x"] == "n/a"
    events = rows(folder / f"{stem}_events.tsv")
    assert {e["trial_type"]: e["onset_source"] for e in events} == {
        "rest": "service",
        "left hand": "program",
    }
    (reported_event,) = (e for e in events if e["trial_type"] == "left hand")
    assert (reported_event["onset"], reported_event["duration"]) == ("3.0", "4.5")
    report = (out / f"{stem}_report.html").read_text("utf-8")
    assert recorded.outcomes_sha256 in report
    about = folder / f"{stem}_desc-decoding_timeseries.json"
    assert json.loads(about.read_text("utf-8"))["OutcomesSHA256"] == recorded.outcomes_sha256


def test_the_validator_finds_no_error(recorded, settings, tmp_path):
    """The record comes from a session of a real service."""
    installed = Path(sys.executable).with_name("bids-validator-deno")
    validator = str(installed) if installed.exists() else shutil.which("bids-validator-deno")
    if validator is None:
        pytest.skip("the BIDS validator (bids-validator-deno) is not installed")
    assert recorded.run == 1
    assert run_export(settings.session, "--bids", tmp_path / "out") == 0
    command = [validator, str(tmp_path / "out"), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = json.loads(done.stdout)["issues"]["issues"]
    # The authors of the data set are not known.
    assert [issue["code"] for issue in found] == ["TOO_FEW_AUTHORS"]


def test_the_same_session_gives_the_same_bytes(recorded, settings, tmp_path):
    """The time of the export does not matter, and the session is not changed."""
    assert recorded.run == 1
    before = contents(settings.session)
    for name in ("one", "other"):
        assert run_export(settings.session, "--bids", tmp_path / name) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert contents(settings.session) == before


def test_events_from_a_file_replace_the_reported_events(recorded, settings, tmp_path, capsys):
    """One file for each run; the blocks of known classes are judged."""
    assert recorded.run == 1
    events = tmp_path / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\n0\t3\tleft hand\n3\t6\ttongue\n")
    command = [settings.session, "--bids", tmp_path / "out", "--events", events]
    assert run_export(*command) == 0
    (table,) = (tmp_path / "out").rglob("*_events.tsv")
    assert [(e["trial_type"], e["onset_source"]) for e in rows(table)] == [
        ("left hand", "file"),
        ("tongue", "file"),
    ]
    assert run_export(*command, "--events", events) == 2
    assert "2 events files for 1 runs" in capsys.readouterr().err


def test_the_documented_commands_run(recorded, settings, tmp_path, monkeypatch):
    """Every `rtdecode export` of the page on the record runs, except the moved bundle."""
    assert recorded.run == 1
    monkeypatch.chdir(tmp_path)
    for name in ("sub-01_ses-1_task-nf_run-1", "sessions/20261126-101500"):
        shutil.copytree(settings.session, tmp_path / name)
    (tmp_path / "events.tsv").write_text("onset\tduration\ttrial_type\n0\t3\ttongue\n")
    page = Path(__file__).parents[2] / "docs" / "record.md"
    commands = re.findall(r"^rtdecode (export .*)$", page.read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert main(command.replace(" --bundle bundle/", "").split()) == 0, command
    found = list((tmp_path / "derivatives/rtdecode").rglob("*_desc-decoding_timeseries.tsv"))
    assert [path.name[:26] for path in found] == ["sub-01_ses-1_task-nf_run-1"]


def test_a_session_is_exported_while_it_is_served(
    start, export, scanner, make_scanner, settings, tmp_path
):
    """The first export has both runs so far; the next one in the same place has all."""
    service = start(volumes=3)
    out = tmp_path / "out"
    folder = out / "sub-unknown" / "func"

    def volumes():
        found = sorted(folder.glob("*_desc-decoding_timeseries.tsv"))
        return [len(rows(path)) for path in found]

    with service.outcomes() as outcomes:
        export("a0.dcm", scanner.mosaic(0))
        next(outcomes)
        assert run_export(settings.session, "--bids", out) == 0
        assert volumes() == [1]
        for index in range(2):
            export(f"b{index}.dcm", make_scanner(series=6).mosaic(index))
            next(outcomes)
        assert run_export(settings.session, "--bids", out) == 0
        assert volumes() == [1, 2]
        export("b2.dcm", make_scanner(series=6).mosaic(2))
        next(outcomes)
    service.finish()
    assert run_export(settings.session, "--bids", out) == 0
    assert volumes() == [1, 3]


def test_the_record_counts_the_objects(start, export, scanner, make_scanner, settings):
    """After the run it has the numbers of unreadable and left-out objects."""
    service = start(volumes=2)
    with service.outcomes() as outcomes, service.control() as control:
        export("0.dcm", scanner.mosaic(0))
        next(outcomes)
        assert read_session(settings.session).runs[0].tally is None
        localiser = make_scanner(series=99, seed=3).mosaic(0)
        export("x.dcm", localiser.replace(b"CS\x02\0MR", b"CS\x02\0SR"))
        export("y.dcm", scanner.mosaic(3)[:-200])
        while control.status().objects < 3:
            pass
        export("1.dcm", scanner.mosaic(1))
        next(outcomes)
    summary = service.finish()
    (run,) = read_session(settings.session).runs
    assert (run.tally.objects, run.tally.unreadable, run.tally.left_out) == (4, 1, 1)
    assert (summary.objects, summary.unreadable, summary.left_out) == (4, 1, 1)
    (serving,) = read_session(settings.session).servings
    assert {"python", "numpy", "numba"} <= set(serving.settings["libraries"])


def test_invalid_exports_are_refused(start, settings, tmp_path, capsys):
    """The session has no outcomes, the folder has other files, or a label is invalid."""
    start().shut()
    assert run_export(settings.session, "--bids", tmp_path / "out") == 2
    assert "no outcome yet" in capsys.readouterr().err
    assert run_export(tmp_path / "gone", "--bids", tmp_path / "out") == 2
    assert "cannot be read as a session" in capsys.readouterr().err
    assert run_export(settings.session, "--bids", tmp_path / "out", "--subject", "a/b") == 2
    assert "sub-a/b" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
