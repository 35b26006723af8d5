"""Objects of every vendor without their identity."""

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
from rtdecode.export.csa_fields import reduced
from rtdecode.export.keep_list import KEPT, SEQUENCES

VENDORS = ("siemens", "siemens-xa", "ge", "philips")


@pytest.fixture(scope="module")
def simulated():
    """Return a run of one small volume."""
    protocol = EpiProtocol((24, 20, 5), (9.0, 9.0, 20.0), repetition_time_s=1.0)
    someone = make_participant(load_template(), ParticipantSettings(), 7)
    return simulate_run(someone, RunDesign(1, 0.5, 0.0, 0.0, protocol=protocol), 1)


@pytest.fixture(params=VENDORS)
def scanned(request, simulated, tmp_path) -> bytes:
    """Return one object as each vendor writes it."""
    return write_dicom(simulated, tmp_path / "run", request.param)[0].read_bytes()


def test_every_vendors_volume_stays_what_it_was(scanned) -> None:
    """Pixels, place and time are the same; nothing is kept that is not on the list."""
    anonymous = Deidentifier(b"secret").apply(scanned)
    one, other = parse(scanned, "a"), parse(anonymous, "b")
    for before, after in zip(one.slabs, other.slabs, strict=True):
        np.testing.assert_array_equal(before.data, after.data)
        np.testing.assert_array_equal(before.affine, after.affine)
        assert (before.temporal, before.slices) == (after.temporal, after.slices)
    assert one.series.digest != other.series.digest
    assert one.series.repetition_time_s == other.series.repetition_time_s
    ds = dcmread(BytesIO(anonymous))
    emptied = [e.keyword for e in ds if int(e.tag) not in KEPT and e.value]
    assert sorted(emptied) == [
        "DeidentificationMethod",
        "LongitudinalTemporalInformationModified",
        "PatientIdentityRemoved",
    ]
    assert not ds.PatientName
    assert not ds.StudyDate


def test_uids_are_new_and_consistent(scanned) -> None:
    """Objects of one series stay one series, and another export gives other UIDs."""
    mine, yours = Deidentifier(b"one"), Deidentifier(b"two")
    first, again, other = mine.apply(scanned), mine.apply(scanned), yours.apply(scanned)
    assert first == again
    series = [parse(content, "x").series.digest for content in (first, other)]
    assert series[0] != series[1]


def test_an_object_in_implicit_encoding_keeps_its_private_facts(simulated, tmp_path) -> None:
    """Where representations are unknown, the vendors' elements that are read survive."""
    for vendor in VENDORS:
        ds = dcmread(write_dicom(simulated, tmp_path / vendor, vendor)[0])
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        buffer = BytesIO()
        ds.save_as(buffer, implicit_vr=True, enforce_file_format=True)
        anonymous = Deidentifier(b"secret").apply(buffer.getvalue())
        assert (
            parse(anonymous, "x").slabs[0].slices == parse(buffer.getvalue(), "x").slabs[0].slices
        )


def test_text_that_is_not_what_its_element_is_for_is_left_out(simulated, tmp_path) -> None:
    """A name in a code, a number or a time is no code, number or time."""
    path = write_dicom(simulated, tmp_path / "run", "siemens")[0]
    content = path.read_bytes()
    at = content.index(b"\x18\x00\x20\x00CS")
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    name = b"Tweety^Canary_\xe4"
    spoilt = content[: at + 6] + len(name).to_bytes(2, "little") + name + content[at + 8 + length :]
    assert b"Tweety" not in Deidentifier(b"secret").apply(spoilt)


def test_descriptions_are_read_and_never_kept(scanned) -> None:
    """Operators write into them, whatever representation an object gives them."""
    ds = dcmread(BytesIO(scanned))
    ds.add_new(tags.SERIES_DESCRIPTION, "CS", "TWEETY")
    ds.add_new(tags.IMAGE_COMMENTS, "CS", "TWEETY")
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    assert b"TWEETY" in buffer.getvalue()
    assert b"TWEETY" not in Deidentifier(b"secret").apply(buffer.getvalue())


def test_siemens_private_header_is_reduced(simulated, tmp_path) -> None:
    """Of its fields those that are read remain, to the last bit, and no other text."""
    path = write_dicom(simulated, tmp_path / "run", "siemens")[0]
    content = dcmread(path)[tags.CSA_IMAGE].value
    hidden = content + b"PatientName\0Tweety"
    kept = reduced(hidden)
    assert b"Tweety" not in kept
    assert reduced(kept) == kept
    assert kept.startswith(b"SV10")


def test_what_cannot_be_read_is_not_passed_on(scanned) -> None:
    """Half an object, or none, is refused without a word of what is in it."""
    for content in (scanned[:-100], b"Tweety" * 100, b""):
        with pytest.raises(VolumeError) as refused:
            Deidentifier(b"secret").apply(content)
        assert "Tweety" not in str(refused.value)


def test_real_objects_of_every_vendor_stay_what_they_were(shared_data) -> None:
    """Whatever can be read of the public collections decodes to the same without its identity."""
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


def test_sequences_and_pixels_are_on_the_list() -> None:
    """What holds other elements is known as such, so that nothing passes inside it."""
    assert {tag for tag, vr in tags.ENCODINGS.items() if vr == b"SQ"} == set(SEQUENCES)
    assert tags.PIXEL_DATA in KEPT
