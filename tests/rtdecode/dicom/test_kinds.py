"""Objects that cannot be a run are recognised by their headers."""

import pytest

from rtdecode.dicom import OtherImageError, assemble, parse
from rtdecode.errors import VolumeError

ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"


@pytest.fixture
def header(builder, run):
    """Return a classic image with some elements changed."""

    def build(**changes):
        ds = builder.slice_dataset(run[0][0], 0, 1, "SIEMENS")
        for name, value in changes.items():
            if value is None:
                delattr(ds, name)
            else:
                setattr(ds, name, value)
        return builder.write(ds)

    return build


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]}, "phase"),
        ({"ComplexImageComponent": "PHASE"}, "phase"),
        ({"Modality": "SR"}, "modality SR"),
        ({"Modality": "PR"}, "modality PR"),
        ({"PixelData": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, "without pixels"),
        ({"PixelData": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.9.2.1"}, "without pixels"),
    ],
)
def test_objects_without_magnitudes_are_refused_with_their_kind(header, changes, kind):
    """The series and the kind are known without the pixels."""
    with pytest.raises(OtherImageError, match=r"^odd\.dcm ") as refused:
        parse(header(**changes), "odd.dcm")
    assert kind in refused.value.kind
    assert refused.value.series_number == 5
    assert len(refused.value.digest) == 12


def test_an_image_whose_pixels_are_missing_is_damaged(header):
    """An MR image without pixels is not another kind of object."""
    with pytest.raises(VolumeError, match="no pixel data") as refused:
        parse(header(PixelData=None), "half.dcm")
    assert not isinstance(refused.value, OtherImageError)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM", "MOCO"]}, "motion-corrected"),
        ({"SeriesDescription": "MoCoSeries"}, "motion-corrected"),
        ({"SeriesDescription": "bold_run-1_SBRef"}, "single-band"),
        ({"ImageComments": "Single-band reference SENSE1"}, "single-band"),
        ({"SeriesDescription": "localizer"}, "localiser"),
        ({"SeriesDescription": "AAHead_Scout_64ch-head-coil"}, "localiser"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"ImageType": ["DERIVED", "PRIMARY", "M", "ND", "TTEST"]}, "maps"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"]}, "maps"),
        ({"ImageType": ["DERIVED", "PRIMARY", "FMRI", "T_TEST"]}, "maps"),
        ({"SeriesDescription": "Mean_&_t-Maps"}, "maps"),
        ({"ScanningSequence": ["GR", "IR"], "EchoTime": 2.9}, "structural"),
        ({"ScanningSequence": "SE", "EchoTime": 95.0}, "structural"),
        ({"ScanningSequence": "GR", "EchoTime": 4.92}, "structural"),
        ({"EchoPlanarPulseSequence": "NO"}, "structural"),
    ],
)
def test_images_that_cannot_be_a_run_have_a_kind(header, changes, kind):
    """The kind comes from image type, description or sequence."""
    assert kind in parse(header(**changes), "other.dcm").series.kind


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ImageType": ["ORIGINAL", "PRIMARY", "OTHER"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "FMRI", "NONE"]},
        {"ScanningSequence": ["EP", "GR"], "EchoTime": 30.0},
        {"ScanningSequence": "GR", "EchoTime": 30.0},
        {"ScanningSequence": ["EP", "SE"], "EchoTime": 70.0},
        {"ScanningSequence": "EP", "EchoTime": 6.0},
        {"EchoPlanarPulseSequence": "YES"},
        {"SeriesDescription": "func-bold_task-fa_run-1"},
    ],
)
def test_images_of_a_run_have_no_kind(header, changes):
    """Philips marks echo-planar runs as GR; a filter makes enhanced Siemens images DERIVED."""
    assert parse(header(**changes), "run.dcm").series.kind == ""


def test_a_localiser_without_orientation_is_refused_with_its_kind(header):
    """A localiser that has no place in a volume is not a damaged image."""
    with pytest.raises(OtherImageError) as refused:
        parse(header(SeriesDescription="localizer", ImageOrientationPatient=None), "scout.dcm")
    assert "localiser" in refused.value.kind


@pytest.mark.parametrize(
    "folder",
    [
        "rt-cloud",
        "pyneal/GE_env/funcData/s1925",
        "dcm_qa_xa30/In/7_func-bold_task-fa_run-1",
        "dcm_qa_philips/In/Magdeburg_2014/fmri",
        "dicom2nifti/philips_enhanced/fmri/001",
        "dcm_qa_ge/In/SliceTimingMPh/2_fMRI_Multiphase_Des",
        "dcm_qa/In/Orientation/sag/sagint36",
    ],
)
def test_real_runs_have_no_other_kind(shared_data, folder):
    """Real functional series are not taken for other images."""
    kinds = set()
    for path in sorted(p for p in (shared_data / folder).rglob("*") if p.is_file()):
        try:
            kinds.add(parse(path.read_bytes(), path.name).series.kind)
        except OtherImageError:
            raise
        except VolumeError:
            continue
    assert kinds == {""}


def test_a_folder_of_motion_corrected_copies_is_read_offline(builder, run, tmp_path):
    """Offline the operator chooses the series; only the live ledger must recognise it."""
    for at in range(2):
        ds = builder.slice_dataset(run[0][at], at, at + 1, "SIEMENS")
        ds.ImageType = [*ds.ImageType, "MOCO"]
        ds.AcquisitionNumber = 1
        (tmp_path / f"{at}.dcm").write_bytes(builder.write(ds))
    assert len(assemble([tmp_path])) == 1
