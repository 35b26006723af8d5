"""An exported session contains no names and replays to the same outcomes."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zmq

from rtdecode import dicom, raw
from rtdecode.cli import main
from rtdecode.errors import ConfigError, RunError
from rtdecode.export import Deidentifier, export_session, session_copy
from rtdecode.journal import Journal, read_session
from rtdecode.journal.pack import Kind
from rtdecode.ledger import ScanProtocol
from rtdecode.player import IngestSink
from rtdecode.record import presented_events
from rtdecode.service import serve
from rtdecode.wire import IngestHeader, IngestReply, decode, encode


def contents(folder: Path) -> dict[str, str]:
    """Return the type of every file in a folder."""
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
        control.event("left hand", 1.5, 3.0)
        control.event("rest")
        sink.flush()
    return service.finish()


def test_a_copy_has_no_names_and_replays_to_the_same_outcomes(
    recorded, settings, stand_in, canaries, tmp_path, caplog
):
    """No file of the copy has an identifier; the outcomes are the same to the bit."""
    assert (recorded.decisions, recorded.skipped) == (5, 1)
    before = contents(settings.session)
    log = settings.session / "objects.pack"
    assert set(canaries.TELLTALES) <= set(canaries.found(log.read_bytes()))
    exported = export_session(settings.session, tmp_path / "shared")
    assert (exported.runs, exported.objects, exported.outcomes) == (1, 21, 6)
    assert (exported.left_out, exported.marks_left_out, exported.notices_left_out) == (2, 1, 1)
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


def test_a_copy_is_a_complete_session(recorded, settings, tmp_path):
    """It has the outcomes and the order of the log, under another session's name."""
    export_session(settings.session, tmp_path / "shared")
    assert read_session(tmp_path / "shared").runs[0].notices == []
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
    before, after = (read_session(s) for s in (settings.session, tmp_path / "shared"))
    assert after.stimulus_events == before.stimulus_events
    assert len(after.stimulus_events) == 2
    assert presented_events(after) == presented_events(before)
    assert [s.version for s in after.servings] == [s.version for s in before.servings]
    assert after.servings[0].settings["source"] == "zmq:"
    assert not {"bundle", "keys", "outcomes", "control"} & set(after.servings[0].settings)


def test_a_failed_export_leaves_nothing(recorded, settings, tmp_path, monkeypatch):
    """It leaves no partial copy, and no earlier folder is changed."""
    assert recorded.exit_code == 0
    with pytest.raises(ConfigError, match="not a recorded session"):
        export_session(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="exists already"):
        export_session(settings.session, tmp_path)
    with pytest.raises(ConfigError, match="is inside the exported session"):
        export_session(settings.session, settings.session / "shared")
    with Journal(settings.session), pytest.raises(ConfigError, match="in use"):
        export_session(settings.session, tmp_path / "out")
    # A copy that would change a volume must never be exported.
    monkeypatch.setattr("rtdecode.export.deidentify._same", lambda *_: False)
    with pytest.raises(RunError, match="nothing is exported"):
        export_session(settings.session, tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"export", "session"}
    assert session_copy.BATCH > 1
    assert Deidentifier(b"1").uid("1.2.3") != Deidentifier(b"2").uid("1.2.3")


def test_the_command_exports_only_deidentified_copies(recorded, settings, tmp_path, capsys):
    """Without --deidentify it refuses and gives the remedy."""
    assert recorded.exit_code == 0
    arguments = ["export", str(settings.session), "--out", str(tmp_path / "shared")]
    for wrong in (
        arguments,
        arguments[:2],
        [*arguments[:2], "--deidentify"],
        [*arguments, "--deidentify", "--subject", "01"],
    ):
        assert main(wrong) == 2
        assert "--deidentify" in capsys.readouterr().err or "--subject" in wrong
    assert not (tmp_path / "shared").exists()
    assert main([*arguments, "--deidentify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == 21


def test_consecutive_runs_are_copied_unchanged(
    start, export, scanner, make_scanner, settings, stand_in, canaries, tmp_path
):
    """Starts, ends and pauses of runs are in the copy, with its own numbers and UIDs."""
    service, again = start(), make_scanner(series=6, seed=9)
    foreign = canaries.identify(make_scanner(series=7, seed=3).mosaic(0), 7)

    def later(index):
        return canaries.identify(again.mosaic(index), 6).replace(b"100000.0", b"100500.0")

    with service.outcomes() as outcomes, service.control() as control:
        export("a0.dcm", canaries.identify(scanner.mosaic(0)))
        assert next(outcomes).index == 0
        export("x.dcm", foreign.replace(b"CS\x02\0MR", b"CS\x02\0SR"))
        control.pause()
        export("b0.dcm", later(0))
        assert next(outcomes).run == 2
        control.pause()
        export("b1.dcm", later(1))
        assert next(outcomes).outcome.reason == "paused"
        control.resume()
        export("a1.dcm", canaries.identify(scanner.mosaic(1)))  # what is left of the first run
        export("b2.dcm", later(2))
        assert next(outcomes).index == 2
    recorded = service.shut()
    exported = export_session(settings.session, tmp_path / "shared")
    assert (exported.runs, exported.objects, exported.left_out, exported.outcomes) == (2, 4, 2, 4)
    for path in exported.out.rglob("*"):
        assert path.is_dir() or canaries.found(path.read_bytes()) == [], path.name
    with Journal(exported.out) as journal:
        starts = [r.header for r in journal.records if r.kind is Kind.START]
        parsed = [
            dicom.parse(journal.body(r), "x") for r in journal.records if r.kind is Kind.OBJECT
        ]
    assert starts[1]["former"] == [parsed[0].series.digest]
    assert starts[1]["from"] == 3  # behind the start, a0 and the pause
    copy = replace(
        settings, session=tmp_path / "again", source=f"recording:{exported.out}", linger_s=0.0
    )
    assert serve(copy, stand_in()).outcomes_sha256 == recorded.outcomes_sha256


def test_a_series_that_does_not_match_the_bundle_is_not_exported(
    start, export, scanner, make_scanner, settings, stand_in, tmp_path
):
    """It arrived first and fits everything that is known without the bundle."""

    class Fitting(stand_in):
        protocol = ScanProtocol((8, 8, 4), (3.0, 3.0, 3.0), 1.5)

    service = start(Fitting(), volumes=2)
    content = make_scanner(series=4, seed=3).mosaic(0)
    other = content.replace(b"1500.0", b"2500.0")
    assert other != content
    export("0.dcm", other)
    with service.control() as control:
        while control.status().left_out < 1:
            pass
    for index in range(2):
        export(f"{index + 1}.dcm", scanner.mosaic(index))
    recorded = service.finish()
    exported = export_session(settings.session, tmp_path / "shared")
    assert (exported.objects, exported.left_out) == (2, 1)
    copy = replace(
        settings, session=tmp_path / "again", source=f"recording:{exported.out}", linger_s=0.0
    )
    assert serve(copy, stand_in()).outcomes_sha256 == recorded.outcomes_sha256


def test_raw_volumes_are_exported_without_their_series_name(
    start, settings, stand_in, canaries, tmp_path
):
    """The sender chooses this name, which may be a person's name."""
    service = start(source="zmq:", volumes=3)
    voxels = np.arange(3 * 8 * 8 * 4, dtype="<u2").reshape(3, 8, 8, 4)
    affine = tuple(tuple(row) for row in np.diag([3.0, 3.0, 3.0, 1.0]).tolist())
    with zmq.Context() as context, context.socket(zmq.REQ) as sender:
        sender.setsockopt(zmq.LINGER, 0)
        sender.connect(service.endpoints.ingest)
        for index in range(3):
            header = raw.RawHeader(
                series=canaries.NAME, index=index, shape=(8, 8, 4), dtype="uint16", affine=affine
            )
            content = raw.encode(header, voxels[index].tobytes())
            digest = hashlib.sha256(content).hexdigest()
            said = IngestHeader(kind="volume", name=canaries.NAME, sha256=digest)
            sender.send_multipart([encode(said), content])
            assert decode(sender.recv(), IngestReply).receipt == "journalled"
    recorded = service.finish()
    exported = export_session(settings.session, tmp_path / "shared")
    assert (exported.objects, exported.outcomes) == (3, 3)
    assert canaries.found((exported.out / "objects.pack").read_bytes()) == []
    copy = replace(
        settings, session=tmp_path / "again", source=f"recording:{exported.out}", linger_s=0.0
    )
    assert serve(copy, stand_in()).outcomes_sha256 == recorded.outcomes_sha256
