"""A scanner that sends DICOM: DCMTK's storescu, an independent client."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLosslessSV1

from rtdecode import dicom
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.journal import Journal
from rtdecode.journal.pack import Kind

PROPOSE = {JPEGLosslessSV1: ["-xs"], JPEG2000Lossless: ["-xv"], JPEG2000: ["-xw"]}
"""Options that prevent storescu from decompressing."""
SOURCE = "dicom://127.0.0.1:0?aet=RTDECODE&from=SCANNER"


@pytest.fixture
def storescu():
    """Return a function that sends files or folders as a scanner would."""
    program = shutil.which("storescu")
    if program is None:
        pytest.skip("DCMTK's storescu is not installed (Debian package dcmtk)")

    def send(endpoint: str, *what: object, title: str = "SCANNER", called: str = "RTDECODE"):
        where = urlsplit(endpoint)
        command = [program, "-v", "-aet", title, "-aec", called, where.hostname, str(where.port)]
        return subprocess.run(
            [*command, *map(str, what)], capture_output=True, text=True, timeout=100, check=False
        )

    return send


def test_a_run_that_storescu_sends_is_decided_as_one_from_a_folder(
    start, tmp_path: Path, export, make_scanner, storescu
):
    """Slice by slice, one volume out of order; the outcomes are the same to the last bit."""
    scanner = make_scanner()
    for volume in range(5):
        for at in range(4):
            export(f"{volume}_{at}.dcm", scanner.slice(volume, at))
    watched = start(volumes=5).finish()
    service = start(source=SOURCE, session=tmp_path / "received", volumes=5)
    order = [tmp_path / "export" / f"{v}_{at}.dcm" for v in (0, 2, 1, 3, 4) for at in range(4)]
    for volume in (order[:4], order[4:12], order[12:]):
        sent = storescu(service.endpoints.ingest, *volume)
        assert sent.returncode == 0, sent.stdout + sent.stderr
    received = service.finish()
    assert (received.decisions, received.objects) == (5, 20)
    assert received.outcomes_sha256 == watched.outcomes_sha256


def test_an_object_sent_again_is_a_success_and_counts_once(start, tmp_path, scanner, storescu):
    """A scanner that repeats an export changes nothing."""
    (tmp_path / "0.dcm").write_bytes(scanner.mosaic(0))
    (tmp_path / "1.dcm").write_bytes(scanner.mosaic(1))
    service = start(source=SOURCE, volumes=2)
    for _ in range(3):
        assert storescu(service.endpoints.ingest, tmp_path / "0.dcm").returncode == 0
    assert storescu(service.endpoints.ingest, tmp_path / "1.dcm").returncode == 0
    summary = service.finish()
    assert (summary.decisions, summary.objects) == (2, 2)


def test_unknown_senders_are_rejected(start, tmp_path, scanner, storescu):
    """The program storescu reports the rejection."""
    (tmp_path / "0.dcm").write_bytes(scanner.mosaic(0))
    service = start(source=SOURCE)
    for names in ({"title": "STRANGER"}, {"called": "ELSEWHERE"}):
        sent = storescu(service.endpoints.ingest, tmp_path / "0.dcm", **names)
        assert sent.returncode != 0
        assert "Not Recognized" in sent.stdout + sent.stderr
    assert service.shut().objects == 0


@pytest.mark.parametrize("part", ["dcm_qa", "dcm_qa_ge", "dcm_qa_philips", "dcm_qa_xa30"])
def test_real_images_arrive_with_every_voxel(
    start, shared_data: Path, tmp_path: Path, storescu, part: str
):
    """For every vendor, the journalled image equals the image of the scanner."""
    files = [p for p in sorted((shared_data / part / "In").rglob("*")) if _is_image(p)][:5]
    assert files
    service = start(source=SOURCE, session=tmp_path / "received")
    for path in files:
        syntax = dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
        sent = storescu(service.endpoints.ingest, *PROPOSE.get(syntax, ()), path)
        assert sent.returncode == 0, sent.stdout + sent.stderr
    service.shut()
    with Journal(tmp_path / "received") as journal:
        contents = [journal.body(r) for r in journal.records if r.kind is Kind.OBJECT]
    assert len(contents) == len(files)
    for path, content in zip(files, contents, strict=True):
        here, there = dicom.parse(content, "received"), dicom.parse(path.read_bytes(), "file")
        assert here.series == there.series
        for slab, other in zip(here.slabs, there.slabs, strict=True):
            assert (slab.data == other.data).all()
            assert (slab.affine == other.affine).all()


def test_every_problem_of_an_address_is_reported_at_the_start(start):
    """They are reported together with the problems of other settings."""
    with pytest.raises(ConfigError) as refused:
        start(source="dicom://0.0.0.0?aet=%5C", volumes=-1)
    assert len(refused.value.problems) == 4


def _is_image(path: Path) -> bool:
    if path.suffix != ".dcm" or path.stat().st_size > 5_000_000:
        return False
    try:
        dicom.parse(path.read_bytes(), "file")
    except VolumeError:
        return False
    return True
