"""Real series of every vendor equal dcm2niix's reference, voxel by voxel."""

import tarfile

import dcm2niix
import nibabel as nib
import numpy as np
import pytest

from rtdecode.dicom import assemble
from rtdecode.errors import VolumeError

QA = "dcm_qa/In/Orientation"
REFERENCES = [
    (f"{QA}/ax/axasc35", "dcm_qa/Ref/ax_asc_35sl_6"),
    (f"{QA}/ax/axint36", "dcm_qa/Ref/ax_int_36sl_12"),
    (f"{QA}/axmb/AxAsc36mb2a", "dcm_qa/Ref/fMRI_MB_asc_25"),
    (f"{QA}/axmb/AxInt36mb", "dcm_qa/Ref/fMRI_MB_int_26"),
    (f"{QA}/cor", "dcm_qa/Ref/cor_asc_35sl_16"),
    (f"{QA}/sag", "dcm_qa/Ref/sag_int_36sl_21"),
    ("dcm_qa_ge/In/SliceTiming", "dcm_qa_ge/Ref/Ax_fMRI_HB3_48sl_int_asc_14"),
    ("dcm_qa_ge/In/SliceTimingMPh", "dcm_qa_ge/Ref/fMRI_Multiphase_Des_2"),
    ("dcm_qa_philips/In", "dcm_qa_philips/Ref/EPI_asc_CLEAR_201"),
    *((f"dcm_qa_ts/In/{n}.dcm", "dcm_qa_ts/Ref/1") for n in range(1, 10)),
]


def worst_mm(one, other, shape):
    """Return the largest distance between two affines over a grid's corners."""
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in shape], [1], indexing="ij")).reshape(4, -1)
    return np.linalg.norm(((one - other) @ corners)[:3], axis=0).max()


@pytest.mark.parametrize(("source", "reference"), REFERENCES)
def test_real_series_equals_its_reference(shared_data, source, reference):
    """Voxels, order and affine equal those of dcm2niix."""
    image = nib.load(shared_data / f"{reference}.nii.gz")
    expected = np.atleast_3d(image.get_fdata())
    expected = expected[..., None] if expected.ndim == 3 else expected
    volumes = assemble([shared_data / source])
    assert [v.index for v in volumes] == list(range(expected.shape[3]))
    for volume in volumes:
        np.testing.assert_allclose(
            volume.data, expected[..., volume.index], rtol=1e-6, atol=1e-6 * expected.max()
        )
        assert worst_mm(volume.affine, image.affine, volume.data.shape) < 0.01


@pytest.mark.parametrize("kind", ["ge", "philips", "philips_enhanced"])
@pytest.mark.parametrize("encoding", ["001", "001_implicit"])
def test_dicom2nifti_reference_series_has_equal_values_and_positions(shared_data, kind, encoding):
    """Values and positions equal those of another converter (except for Philips' scaling)."""
    folder = shared_data / "dicom2nifti" / kind / "fmri"
    truth = nib.load(folder / f"{encoding}_ground_truth.nii.gz")
    expected = truth.get_fdata()
    volumes = assemble([folder / encoding])
    assert len(volumes) == expected.shape[3]
    for volume in volumes:
        grid = np.indices(volume.data.shape).reshape(3, -1)
        ours_to_theirs = np.linalg.inv(truth.affine) @ volume.affine
        places = ours_to_theirs @ np.vstack([grid, np.ones(grid.shape[1])])
        nearest = np.rint(places[:3]).astype(int)
        assert np.abs(places[:3] - nearest).max() < 0.01
        theirs = expected[..., volume.index][tuple(nearest)]
        assert np.corrcoef(theirs, volume.data.ravel())[0, 1] > 1 - 1e-9


def test_duplicate_that_sorts_first_is_ignored(shared_data):
    """rt-cloud's first file repeats its tenth volume."""
    volumes = assemble([shared_data / "rt-cloud"])
    assert [v.index for v in volumes] == list(range(10))
    assert [v.acquired_s for v in volumes] == pytest.approx([1.5 * n for n in range(10)])
    assert volumes[0].data.shape == (64, 64, 27)


def check_against_binary(source, folder):
    """Convert `source` with the dcm2niix program and compare."""
    dcm2niix.main(
        ["-z", "n", "-b", "n", "-f", "run", "-o", str(folder), str(source)],
        check=True,
        capture_output=True,
    )
    image = nib.load(folder / "run.nii")
    expected = image.get_fdata()
    volumes = assemble([source])
    assert [v.index for v in volumes] == list(range(expected.shape[3]))
    for volume in volumes:
        np.testing.assert_allclose(
            volume.data, expected[..., volume.index], rtol=1e-6, atol=1e-6 * expected.max()
        )
        assert worst_mm(volume.affine, image.affine, volume.data.shape) < 0.01


@pytest.mark.parametrize(
    "source",
    [
        "rt-cloud",
        "pyneal/GE_env",
        "pyneal/Siemens_env",
        "dcm_qa_xa30/In",
        *(
            f"dicom2nifti/{kind}/fmri/{encoding}"
            for kind in ("ge", "philips", "philips_enhanced")
            for encoding in ("001", "001_implicit")
        ),
    ],
)
def test_series_without_reference_equals_dcm2niix_output(shared_data, tmp_path, source):
    """The dcm2niix program makes the missing reference."""
    check_against_binary(shared_data / source, tmp_path)


def test_real_philips_slices_equal_dcm2niix_output(shared_data, tmp_path):
    """26 volumes of 35 slice files equal those of dcm2niix."""
    source = tmp_path / "slices"
    with tarfile.open(shared_data / "datalad_oneback" / "vols_001-026.tar.xz") as archive:
        archive.extractall(source, filter="data")
    check_against_binary(source, tmp_path)


def test_par_rec_is_refused(shared_data):
    """Philips' PAR/REC is not DICOM, and the message gives the remedy."""
    with pytest.raises(VolumeError, match="PAR header, not DICOM: have the scanner export DICOM"):
        assemble([shared_data / "pyneal" / "Philips_env"])


def test_real_series_in_one_folder_are_listed(shared_data):
    """The error lists the numbers of six series in one folder tree."""
    with pytest.raises(VolumeError, match=r"6 series here, numbers 6 .*12 .*16 .*21 .*25 .*26 "):
        assemble([shared_data / "dcm_qa" / "In"])
