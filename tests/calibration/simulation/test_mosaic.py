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
    write_mosaics,
)
from calibration.simulation.mosaic import mosaic_pixels, tiles
from rtdecode.dicom import assemble
from rtdecode.errors import ConfigError


@pytest.fixture(scope="module")
def written(short_run, tmp_path_factory):
    """Return the run's mosaics, written once."""
    return write_mosaics(short_run, tmp_path_factory.mktemp("mosaics"))


@pytest.fixture(scope="module")
def dcm2niix() -> str:
    """Return the path of dcm2niix, or skip."""
    beside = Path(sys.executable).parent
    program = shutil.which("dcm2niix", path=str(beside)) or shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed")
    return program


def _convert(dcm2niix: str, source: Path, target: Path) -> nib.Nifti1Image:
    target.mkdir()
    command = [dcm2niix, "-b", "n", "-z", "n", "-f", "run", "-o", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)  # a program of ours
    return nib.load(target / "run.nii")


def test_dcm2niix_gets_the_same_volumes(dcm2niix, short_run, written, tmp_path):
    """dcm2niix converts the files to the very voxels, affine and timing that were simulated."""
    image = _convert(dcm2niix, written[0].parent, tmp_path / "nifti")
    voxels = np.asarray(image.dataobj)
    for volume in short_run.volumes():
        assert np.array_equal(voxels[..., volume.index], volume.data)
    np.testing.assert_allclose(image.affine, short_run.affine, atol=1e-3)
    assert image.header.get_zooms()[3] == pytest.approx(1.0)


def test_dcm2niix_agrees_on_odd_shapes(dcm2niix, template, tmp_path):
    """It does so with a matrix that is not square, odd tile counts and anisotropic voxels."""
    someone = make_participant(template, ParticipantSettings(), 7)
    protocol = EpiProtocol((48, 56, 11), (4.0, 3.5, 6.0), repetition_time_s=0.72)
    run = simulate_run(someone, RunDesign(1, 0.5, 0.0, 0.0, protocol=protocol), 1)
    write_mosaics(run, tmp_path / "dicom")
    image = _convert(dcm2niix, tmp_path / "dicom", tmp_path / "nifti")
    voxels = np.asarray(image.dataobj)
    assert voxels.shape == (48, 56, 11, 3)
    for volume in run.volumes():
        assert np.array_equal(voxels[..., volume.index], volume.data)
    np.testing.assert_allclose(image.affine, run.affine, atol=1e-3)


def test_assemble_reads_back_what_was_simulated(short_run, written):
    """The scanner room's own reader gets the same volumes as were handed over in memory."""
    for read, made in zip(assemble(written), short_run.volumes(), strict=True):
        assert np.array_equal(read.data, made.data)
        np.testing.assert_allclose(read.affine, made.affine, atol=1e-3)
        assert read.index == made.index
        assert read.identity == made.identity
        assert read.acquired_s == pytest.approx(made.acquired_s, abs=1e-6)
        assert read.repetition_time_s == pytest.approx(made.repetition_time_s)


def test_nobody_is_in_the_header(written):
    """The only name is that of a simulated participant; birth date and sex are empty."""
    header = pydicom.dcmread(written[0], stop_before_pixels=True)
    assert header.PatientName == "Simulated^Participant"
    assert header.PatientID == "simulated"
    assert not header.PatientBirthDate
    assert not header.PatientSex
    assert "MOSAIC" in header.ImageType
    assert header[0x0019, 0x100A].value == 36
    assert header[0x0051, 0x100B].value == "64*64"


def test_objects_are_distinct_and_in_order(written):
    """Files sort by volume; instance UIDs differ and the series UID does not."""
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in written]
    assert written == sorted(written)
    assert len({h.SOPInstanceUID for h in headers}) == len(written)
    assert len({h.SeriesInstanceUID for h in headers}) == 1
    assert [h.InstanceNumber for h in headers] == list(range(1, len(written) + 1))
    assert headers[3].AcquisitionTime == "100003.000000"


def test_tiles_hold_slices_row_by_row():
    """The mosaic is the smallest square that holds all slices, filled from the top left."""
    data = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    mosaic = mosaic_pixels(data)
    assert [tiles(n) for n in (1, 4, 5, 36, 37)] == [1, 2, 3, 6, 7]
    assert mosaic.shape == (9, 6)
    assert np.array_equal(mosaic[3:6, 2:4], data[:, ::-1, 4].T)
    assert not mosaic[6:].any()


def test_progress_is_told_and_runs_never_mix(short_run, tmp_path):
    """Progress counts to the end; a folder that holds DICOM files is refused."""
    told = []
    write_mosaics(short_run, tmp_path / "run", lambda done, total: told.append((done, total)))
    assert told == [(i, 12) for i in range(1, 13)]
    with pytest.raises(ConfigError, match="already holds"):
        write_mosaics(short_run, tmp_path / "run")
