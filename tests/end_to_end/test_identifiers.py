"""Nothing that identifies a participant leaves the pack of raw objects."""

import logging
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from rtdecode.cli import main
from rtdecode.journal.journal import PACK
from rtdecode.player import IngestSink


def written(session: Path) -> dict[str, bytes]:
    """Return every file in a session's folder except the pack."""
    return {p.name: p.read_bytes() for p in session.rglob("*") if p.is_file() and p.name != PACK}


@pytest.fixture
def identified(scanner, canaries):
    """Return a function that gives a volume with identifiers of the participant."""
    return lambda index: canaries.identify(scanner.mosaic(index))


def test_the_canaries_are_in_the_objects(identified, canaries):
    """The test below searches for identifiers that the objects contain."""
    content = identified(0)
    assert canaries.found(content) == list(canaries.TELLTALES)
    ds = dcmread(BytesIO(content))
    assert str(ds.PatientName) == canaries.NAME
    assert ds.PatientBirthDate == canaries.BORN


def test_no_identifier_leaves_the_pack(
    start, export, identified, make_scanner, settings, caplog, capfd, canaries
):
    """Logs, messages, record, checkpoints and endpoints have none, whatever arrives."""
    found, name, born = canaries.found, canaries.NAME, canaries.BORN
    caplog.set_level(logging.INFO)
    service = start(volumes=8, patience_s=0.3, file_patience_s=0.05)
    said: list[bytes] = []
    with service.outcomes() as outcomes, service.control() as control:
        for index in (0, 1, 2, 3, 5, 6):
            export(f"{name}/{name}.MR.{born}.{index}.IMA", identified(index))
        content = identified(4)
        export(f"{name}.cut", content[:-200])
        export(f"{name}.report", content.replace(b"CS\x02\0MR", b"CS\x02\0SR"))
        export(f"{name}.text", name.encode() * 50)
        export(f"{name}.other", canaries.identify(make_scanner(series=77, seed=9).mosaic(0), 77))
        export(f"{name}.last", identified(7))
        for numbered in outcomes:
            said.append(str(numbered).encode())
            said.append(str(control.status()).encode())
        said.append(str(control.snapshot(since=0)).encode())
        said.append(str(outcomes.status).encode())
    summary = service.finish()
    assert (summary.decisions, summary.skipped) == (7, 1)
    assert (summary.unreadable, summary.left_out) == (2, 2)
    said += [record.getMessage().encode() for record in caplog.records]
    said += [stream.encode() for stream in capfd.readouterr()]
    assert any(b"left out" in line for line in said)
    assert any(b"series 77" in line for line in said)
    assert [line for line in said if found(line)] == []
    assert main(["export", str(settings.session), "--bids", str(settings.session / "bids")]) == 0
    files = written(settings.session)
    assert {"endpoints.json", "session.sqlite", "dataset_description.json"} <= set(files)
    assert {"sub-unknown_task-nf_run-1_report.html"} <= set(files)
    assert {name: found(content) for name, content in files.items() if found(content)} == {}


def test_a_fault_has_no_file_name(start, export, identified, caplog, monkeypatch, canaries):
    """The system's errors name files; the published errors do not."""
    found, name = canaries.found, canaries.NAME
    service = start()

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", f"/scans/{name}/1.IMA")

    monkeypatch.setattr("rtdecode.service.objects.raw.parse_object", fail)
    with service.outcomes() as outcomes:
        export("0.dcm", identified(0))
        while not outcomes.fault:
            outcomes.poll(0.1)
        assert "Permission denied" in outcomes.fault
        assert found(outcomes.fault.encode()) == []
    assert service.finish().exit_code == 1
    assert found(caplog.text.encode()) == []


def test_the_source_folders_name_is_not_reported(start, tmp_path, identified, caplog, canaries):
    """Scanners name folders after participants, too."""
    caplog.set_level(logging.INFO, "rtdecode")
    (tmp_path / canaries.NAME).mkdir()
    (tmp_path / canaries.NAME / "0.dcm").write_bytes(identified(0))
    service = start(source=f"folder:{tmp_path / canaries.NAME}", volumes=1)
    assert service.finish().decisions == 1
    assert "source folder" in caplog.text
    assert canaries.found(caplog.text.encode()) == []


def test_names_from_dicom_are_never_paths(start, scanner, settings, tmp_path):
    """A name or a value with a path is stored as text and never opened."""
    service = start(source="zmq:", volumes=2)
    before = set(tmp_path.rglob("*"))
    ds = dcmread(BytesIO(scanner.mosaic(1)))
    ds.SeriesDescription = ds.PatientID = ds.StudyID = "../../escaped"
    buffer = BytesIO()
    ds.save_as(buffer)
    with IngestSink(service.endpoints.ingest) as sink:
        sink.put("../../../escaped.dcm", scanner.mosaic(0))
        sink.put("C:\\escaped\\..\\0.dcm", buffer.getvalue())
        sink.flush()
    assert service.finish().decisions == 2
    new = {p.relative_to(settings.session).as_posix() for p in set(tmp_path.rglob("*")) - before}
    assert all(
        name.split("/")[0] in {"checkpoints", "endpoints.json"} or "session" in name for name in new
    ), new
    assert not list(tmp_path.parent.rglob("*escaped*"))
