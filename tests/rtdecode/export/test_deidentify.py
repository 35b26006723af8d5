"""De-identified objects of every vendor."""

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from calibration.simulation import (
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    load_template,
    make_participant,
    simulate_run,
    write_dicom,
)
from rtdecode.dicom import parse, tags
from rtdecode.errors import VolumeError
from rtdecode.export import Deidentifier
from rtdecode.export.csa_fields import reduce_csa
from rtdecode.export.keep_list import KEEP_LIST, SEQUENCES

VENDORS = ("siemens", "siemens-xa", "ge", "philips")


@pytest.fixture(scope="module")
def simulated():
    """Return a run of one small volume."""
    protocol = EpiProtocol((24, 20, 5), (9.0, 9.0, 20.0), repetition_time_s=1.0)
    someone = make_participant(load_template(), ParticipantSettings(), 7)
    return simulate_run(someone, RunDesign(1, 0.5, 0.0, 0.0, protocol=protocol), 1)


@pytest.fixture(params=VENDORS)
def dicom_object(request, simulated, tmp_path) -> bytes:
    """Return one object in each vendor's format."""
    return write_dicom(simulated, tmp_path / "run", request.param)[0].read_bytes()


def test_volume_of_every_vendor_is_unchanged(dicom_object) -> None:
    """Pixels, position and time are the same; elements outside the list are removed."""
    anonymous = Deidentifier(b"secret").apply(dicom_object)
    one, other = parse(dicom_object, "a"), parse(anonymous, "b")
    for before, after in zip(one.slabs, other.slabs, strict=True):
        np.testing.assert_array_equal(before.data, after.data)
        np.testing.assert_array_equal(before.affine, after.affine)
        assert (before.temporal, before.slices) == (after.temporal, after.slices)
    assert one.series.digest != other.series.digest
    assert one.series.repetition_time_s == other.series.repetition_time_s
    ds = dcmread(BytesIO(anonymous))
    emptied = [e.keyword for e in ds if int(e.tag) not in KEEP_LIST and e.value]
    assert sorted(emptied) == [
        "DeidentificationMethod",
        "LongitudinalTemporalInformationModified",
        "PatientIdentityRemoved",
    ]
    assert not ds.PatientName
    assert not ds.StudyDate


def test_uids_are_new_and_consistent(dicom_object) -> None:
    """One series remains one series, and another secret gives other UIDs."""
    mine, yours = Deidentifier(b"one"), Deidentifier(b"two")
    first, again, other = (
        mine.apply(dicom_object),
        mine.apply(dicom_object),
        yours.apply(dicom_object),
    )
    assert first == again
    series = [parse(content, "x").series.digest for content in (first, other)]
    assert series[0] != series[1]


def test_implicit_encoding_keeps_private_elements(simulated, tmp_path) -> None:
    """The private elements that rtdecode reads remain if their representation is unknown."""
    for vendor in VENDORS:
        ds = dcmread(write_dicom(simulated, tmp_path / vendor, vendor)[0])
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        buffer = BytesIO()
        ds.save_as(buffer, implicit_vr=True, enforce_file_format=True)
        anonymous = Deidentifier(b"secret").apply(buffer.getvalue())
        assert (
            parse(anonymous, "x").slabs[0].slices == parse(buffer.getvalue(), "x").slabs[0].slices
        )


def test_text_with_a_wrong_format_is_removed(simulated, tmp_path) -> None:
    """A code element that contains a name is removed."""
    path = write_dicom(simulated, tmp_path / "run", "siemens")[0]
    content = path.read_bytes()
    at = content.index(b"\x18\x00\x20\x00CS")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    name = b"Tweety^Canary_\xe4"
    wrong = content[: at + 6] + len(name).to_bytes(2, "little") + name + content[at + 8 + length :]
    assert b"Tweety" not in Deidentifier(b"secret").apply(wrong)


def test_descriptions_are_removed(dicom_object) -> None:
    """They contain free text, also if their representation is that of a code."""
    ds = dcmread(BytesIO(dicom_object))
    ds.add_new(tags.SERIES_DESCRIPTION, "CS", "TWEETY")
    ds.add_new(tags.IMAGE_COMMENTS, "CS", "TWEETY")
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    assert b"TWEETY" in buffer.getvalue()
    assert b"TWEETY" not in Deidentifier(b"secret").apply(buffer.getvalue())


def test_siemens_private_header_is_reduced(simulated, tmp_path) -> None:
    """A second reduction changes nothing, and other text is removed."""
    path = write_dicom(simulated, tmp_path / "run", "siemens")[0]
    content = dcmread(path)[tags.CSA_IMAGE].value
    hidden = content + b"PatientName\0Tweety"
    header = reduce_csa(hidden)
    assert b"Tweety" not in header
    assert reduce_csa(header) == header
    assert header.startswith(b"SV10")


def test_unreadable_objects_are_refused(dicom_object) -> None:
    """The error does not quote the object's content."""
    for content in (dicom_object[:-100], b"Tweety" * 100, b""):
        with pytest.raises(VolumeError) as refused:
            Deidentifier(b"secret").apply(content)
        assert "Tweety" not in str(refused.value)


def test_real_volumes_of_every_vendor_are_unchanged(shared_data) -> None:
    """All readable objects of the public collections can be de-identified."""
    tried = 0
    for collection in ("dcm_qa_ts", "dcm_qa_ge", "dcm_qa_philips", "dcm_qa_xa30"):
        files = [p for p in sorted((shared_data / collection).rglob("*")) if p.is_file()]
        for path in files[:: max(1, len(files) // 10)]:
            content = path.read_bytes()
            try:
                parse(content, "x")
            except VolumeError:
                continue
            Deidentifier(b"secret").apply(content)
            tried += 1
    assert tried > 10


def test_keep_list_has_all_sequences_and_pixel_data() -> None:
    """Each sequence is known as one, so its items are filtered, too."""
    assert {tag for tag, vr in tags.ENCODINGS.items() if vr == b"SQ"} == set(SEQUENCES)
    assert tags.PIXEL_DATA in KEEP_LIST
