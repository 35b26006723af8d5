"""A session that is exported names nobody and replays to the same outcomes."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from rtdecode import dicom
from rtdecode.cli import main
from rtdecode.errors import ConfigError, RunError
from rtdecode.export import Deidentifier, export_session, session
from rtdecode.journal import Journal
from rtdecode.pack import Kind
from rtdecode.player import IngestSink
from rtdecode.service import serve


def contents(folder: Path) -> dict[str, str]:
    """Return what every file of a folder is."""
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.fixture
def recorded(start, scanner, make_scanner, canaries):
    """Return the summary of a run of slices, with a gap, a repeat, another series and rubbish."""
    service = start(source="zmq:", volumes=6, patience_s=0.3)
    localiser = canaries.identify(make_scanner(series=99, seed=3).mosaic(0), 99)
    with service.control() as control, IngestSink(service.endpoints.ingest) as sink:
        for index in (0, 1, 2, 4, 5):
            for at in (2, 0, 3, 1):
                content = canaries.identify(scanner.slice(index, at))
                sink.put(f"{canaries.NAME}/{index}_{at}.dcm", content)
            if index == 1:
                sink.put(f"{canaries.NAME}.txt", canaries.NAME.encode() * 20)
                sink.put("localiser", localiser)
                again = canaries.identify(scanner.slice(0, 0)).replace(b"100000.0", b"100001.0")
                sink.put("again", again)
        control.mark(f"{canaries.NAME} coughed")
        sink.flush()
    return service.finish()


def test_a_copy_names_nobody_and_replays_alike(
    recorded, settings, stand_in, canaries, tmp_path, caplog
):
    """All identifiers are gone from every file of it; the outcomes are the same to the bit."""
    assert (recorded.decisions, recorded.skipped) == (5, 1)
    before = contents(settings.session)
    log = settings.session / "objects.pack"
    assert set(canaries.TELLTALES) <= set(canaries.found(log.read_bytes()))
    exported = export_session(settings.session, tmp_path / "shared")
    assert (exported.runs, exported.objects, exported.outcomes) == (1, 21, 6)
    assert (exported.left_out, exported.marks_left_out) == (2, 1)
    assert contents(settings.session) == before
    for path in (tmp_path / "shared").rglob("*"):
        if path.is_file():
            assert canaries.found(path.read_bytes()) == [], path.name
    again = replace(
        settings, session=tmp_path / "again", source=f"recording:{exported.out}", linger_s=0.0
    )
    summary = serve(again, stand_in())
    assert summary.outcomes_sha256 == recorded.outcomes_sha256
    assert (summary.decisions, summary.skipped, summary.objects) == (5, 1, 21)
    assert canaries.found(caplog.text.encode()) == []


def test_a_copy_is_a_session_of_its_own(recorded, settings, tmp_path):
    """Its record holds the outcomes, its log the order of things, under another session's name."""
    export_session(settings.session, tmp_path / "shared")
    with Journal(settings.session) as one, Journal(tmp_path / "shared") as other:
        assert [o.outcome for o in one.outcomes()] == [o.outcome for o in other.outcomes()]
        assert one.session != other.session
        events = [
            [(r.kind, r.header.get("index")) for r in j.records if r.kind is not Kind.OBJECT]
            for j in (one, other)
        ]
        assert events[0] == events[1]
        parsed = [dicom.parse(other.body(r), "x") for r in other.records if r.kind is Kind.OBJECT]
    assert len({p.series.digest for p in parsed}) == 1
    assert recorded.run == 1


def test_what_cannot_be_exported_leaves_nothing(recorded, settings, tmp_path, monkeypatch):
    """Neither half a copy nor a folder that was there before."""
    assert recorded.exit_code == 0
    with pytest.raises(ConfigError, match="no recorded session"):
        export_session(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="is there already"):
        export_session(settings.session, tmp_path)
    with pytest.raises(ConfigError, match="lies inside"):
        export_session(settings.session, settings.session / "shared")
    with Journal(settings.session), pytest.raises(ConfigError, match="in use"):
        export_session(settings.session, tmp_path / "out")
    # A de-identifier that changes what is decoded must never get its way.
    monkeypatch.setattr("rtdecode.export.deidentify._same", lambda *_: False)
    with pytest.raises(RunError, match="nothing is exported"):
        export_session(settings.session, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"export", "session"}
    assert session.BATCH > 1
    assert Deidentifier(b"1").uid("1.2.3") != Deidentifier(b"2").uid("1.2.3")


def test_the_command_exports_only_what_names_nobody(recorded, settings, tmp_path, capsys):
    """Without --deidentify it refuses and says what to do instead."""
    assert recorded.exit_code == 0
    arguments = ["export", str(settings.session), "--out", str(tmp_path / "shared")]
    assert main(arguments) == 2
    assert "--deidentify" in capsys.readouterr().err
    assert not (tmp_path / "shared").exists()
    assert main([*arguments, "--deidentify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == 21
