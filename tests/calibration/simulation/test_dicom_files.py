"""Every vendor's files hold what was simulated: dcm2niix and our own reader say so."""

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from calibration.simulation import (
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    make_participant,
    simulate_run,
    write_dicom,
)
from rtdecode.dicom import assemble
from rtdecode.errors import ConfigError

VENDORS = ("siemens", "siemens-xa", "ge", "philips")
ONE_FILE_A_VOLUME = ("siemens", "siemens-xa")


@pytest.fixture(scope="module", params=VENDORS)
def vendor(request) -> str:
    """Return each vendor."""
    return request.param


@pytest.fixture(scope="module")
def odd_run(template):
    """Return three volumes of a matrix that is not square, with anisotropic voxels."""
    someone = make_participant(template, ParticipantSettings(), 7)
    protocol = EpiProtocol((48, 56, 11), (4.0, 3.5, 6.0), repetition_time_s=0.72)
    return simulate_run(someone, RunDesign(1, 0.5, 0.0, 0.0, protocol=protocol), 1)


@pytest.fixture(scope="module")
def written(vendor, odd_run, tmp_path_factory):
    """Return one vendor's files of it, written once."""
    return write_dicom(odd_run, tmp_path_factory.mktemp(vendor), vendor)


@pytest.fixture(scope="module")
def dcm2niix() -> str:
    """Return the path of dcm2niix, or skip."""
    beside = Path(sys.executable).parent
    program = shutil.which("dcm2niix", path=str(beside)) or shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    return program


def test_dcm2niix_gets_the_same_volumes(dcm2niix, odd_run, written, tmp_path) -> None:
    """It converts the files to the very voxels, affine and timing that were simulated."""
    command = [dcm2niix, "-b", "n", "-z", "n", "-f", "run", "-o", str(tmp_path)]
    subprocess.run([*command, str(written[0].parent)], check=True, capture_output=True)
    assert [path.name for path in tmp_path.glob("*.nii")] == ["run.nii"]
    image = nib.load(tmp_path / "run.nii")
    voxels = np.asarray(image.dataobj)
    assert voxels.shape == (48, 56, 11, 3)
    for volume in odd_run.volumes():
        np.testing.assert_array_equal(voxels[..., volume.index], volume.data)
    np.testing.assert_allclose(image.affine, odd_run.affine, atol=1e-3)
    assert image.header.get_zooms()[3] == pytest.approx(0.72)


def test_assemble_reads_back_what_was_simulated(odd_run, written) -> None:
    """The scanner room's own reader gets the same volumes, numbered and timed alike."""
    volumes = assemble(written)
    assert len(volumes) == len(odd_run)
    for read, made in zip(volumes, odd_run.volumes(), strict=True):
        np.testing.assert_array_equal(read.data, made.data)
        np.testing.assert_allclose(read.affine, made.affine, atol=1e-3)
        assert read.index == made.index
        assert read.identity.series == made.identity.series
        assert read.acquired_s == pytest.approx(made.acquired_s, abs=1e-6)
        assert read.repetition_time_s == pytest.approx(0.72)


def test_default_protocol_is_read_back(short_run, tmp_path) -> None:
    """So is a square matrix of 36 slices, as mosaics."""
    files = write_dicom(short_run, tmp_path)
    for read, made in zip(assemble(files), short_run.volumes(), strict=True):
        np.testing.assert_array_equal(read.data, made.data)
        assert read.identity == made.identity
    header = pydicom.dcmread(files[3], stop_before_pixels=True)
    assert header[0x0019, 0x100A].value == 36
    assert header[0x0051, 0x100B].value == "64*64"
    assert header.AcquisitionTime == "100003.000000"


def test_nobody_is_in_the_header(written) -> None:
    """The only name is that of a simulated participant; birth date and sex are empty."""
    header = pydicom.dcmread(written[0], stop_before_pixels=True)
    assert header.PatientName == "Simulated^Participant"
    assert header.PatientID == "simulated"
    assert not header.PatientBirthDate
    assert not header.PatientSex


def test_objects_are_distinct_and_in_order(vendor, odd_run, written) -> None:
    """Files sort as they were acquired; instance UIDs differ and the series UID does not."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in written]
    assert len(written) == (3 if vendor in ONE_FILE_A_VOLUME else 33)
    assert written == sorted(written)
    assert len({h.SOPInstanceUID for h in headers}) == len(written)
    assert {h.SOPInstanceUID for h in headers} == {
        h.file_meta.MediaStorageSOPInstanceUID for h in headers
    }
    assert {h.SeriesInstanceUID for h in headers} == {odd_run.series_uid}
    assert [h.InstanceNumber for h in headers] == list(range(1, len(written) + 1))


def test_progress_is_told_and_runs_never_mix(vendor, odd_run, tmp_path) -> None:
    """Progress counts volumes to the end; a folder that holds DICOM files is refused."""
    told = []
    write_dicom(odd_run, tmp_path, vendor, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(ConfigError, match="already holds"):
        write_dicom(odd_run, tmp_path, vendor)
