"""Transforms that users bring."""

import h5py
import numpy as np
import pytest
from nitransforms.linear import Affine
from scipy.io import savemat

from calibration.registration import register
from calibration.registration.image_geometry import apply_affine
from calibration.registration.transforms import FSL_MNI_AFFINE, read_transform
from rtdecode.errors import ConfigError, RunError

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
POINTS = np.array([[0.0, 0, 0], [41, -30, 22], [-37, 55, -18], [12, -80, 60]])


def itk_parameters(ras: np.ndarray) -> np.ndarray:
    """Return ITK's twelve numbers of a RAS+ affine, by hand and not by nitransforms."""
    lps = LPS @ ras @ LPS
    return np.concatenate([lps[:3, :3].ravel(), lps[:3, 3]])


def write_text(path, ras: np.ndarray, kind: str = "AffineTransform_double_3_3") -> None:
    """Write an ITK text transform."""
    numbers = " ".join(f"{p:.9f}" for p in itk_parameters(ras))
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\n"
        f"Transform: {kind}\nParameters: {numbers}\nFixedParameters: 0 0 0\n"
    )


def write_composite(path, ras: np.ndarray, field_mm: tuple[float, float, float]) -> None:
    """Write an ITK composite: the affine, then (applied first) a constant field over a box."""
    size = (21, 25, 22)
    # LPS displacement of every voxel, vector component fastest; a box of 8 mm voxels over MNI.
    displacement = np.tile(np.array(field_mm) * [-1, -1, 1], np.prod(size))
    fixed = np.concatenate([size, [-80.0, -80, -70], [8.0] * 3, np.eye(3).ravel()])
    parts = [
        (b"CompositeTransform_double_3_3", None, None),
        (b"AffineTransform_double_3_3", itk_parameters(ras), np.zeros(3)),
        (b"DisplacementFieldTransform_double_3_3", displacement, fixed),
    ]
    with h5py.File(path, "w") as file:
        for number, (kind, parameters, fixed_parameters) in enumerate(parts):
            group = file.create_group(f"TransformGroup/{number}")
            group["TransformType"] = np.array([kind])
            if parameters is not None:
                group["TransformParameters"] = parameters
                group["TransformFixedParameters"] = fixed_parameters


def flirt_matrix(epi, mni_to_scanner: np.ndarray) -> np.ndarray:
    """Return FLIRT's matrix by FSL's own definition, not by nitransforms.

    It maps scaled voxels of the EPI to scaled voxels of the reference; FSL counts the first axis
    from the other end where an affine's determinant is positive.
    """

    def scaled(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        zooms = np.linalg.norm(affine[:3, :3], axis=0)
        to_scaled = np.diag([*zooms, 1.0])
        if np.linalg.det(affine) > 0:
            flip = np.diag([-1.0, 1, 1, 1])
            flip[0, 3] = (shape[0] - 1) * zooms[0]
            to_scaled = flip @ to_scaled
        return to_scaled @ np.linalg.inv(affine)

    scanner_to_mni = np.linalg.inv(mni_to_scanner)
    epi_side = np.linalg.inv(scaled(epi.affine, epi.data.shape))
    return scaled(FSL_MNI_AFFINE, (91, 109, 91)) @ scanner_to_mni @ epi_side


def test_itk_text_maps_mni_points_to_the_scanner(participant, tmp_path) -> None:
    """ITK's LPS matrix becomes RAS+ and leads from MNI to the EPI, as for antsApplyTransforms."""
    path = tmp_path / "epi_to_mni.txt"
    write_text(path, participant.mni_to_scanner)
    mapped = read_transform(path, participant.epi)(POINTS)
    assert np.allclose(mapped, apply_affine(participant.mni_to_scanner, POINTS), atol=1e-3)


def test_itk_matlab_and_nitransforms_own_files_agree(participant, tmp_path) -> None:
    """ANTs' binary .mat and a file that nitransforms wrote say the same."""
    mat, written = tmp_path / "0GenericAffine.mat", tmp_path / "nitransforms.tfm"
    parameters = itk_parameters(participant.mni_to_scanner)[:, None]
    variables = {"AffineTransform_double_3_3": parameters, "fixed": np.zeros((3, 1))}
    savemat(mat, variables, format="4")
    Affine(participant.mni_to_scanner).to_filename(written, fmt="itk")
    truth = apply_affine(participant.mni_to_scanner, POINTS)
    for path in (mat, written):
        assert np.allclose(read_transform(path, participant.epi)(POINTS), truth, atol=1e-2)


def test_an_itk_composite_applies_its_field_before_its_matrix(participant, tmp_path) -> None:
    """The last transform of a composite is the first for points; outside it moves nothing."""
    path = tmp_path / "Composite.h5"
    write_composite(path, participant.mni_to_scanner, (3.0, -2.0, 5.0))
    outside = np.array([[0.0, 0.0, 130.0], [200.0, 0, 0]])
    mapped = read_transform(path, participant.epi)(np.vstack([POINTS, outside]))
    truth = apply_affine(
        participant.mni_to_scanner, np.vstack([POINTS + np.array([3.0, -2.0, 5.0]), outside])
    )
    assert np.allclose(mapped, truth, atol=1e-3)


@pytest.mark.parametrize("flipped", [False, True], ids=["radiological", "neurological"])
def test_flirt_goes_from_epi_to_mni_and_is_turned_round(participant, tmp_path, flipped) -> None:
    """A FLIRT matrix in FSL's scaled voxels, whichever way the EPI is stored."""
    from calibration.registration.image_geometry import Image

    epi = participant.epi
    if flipped:
        mirror = np.diag([-1.0, 1, 1, 1])
        mirror[0, 3] = epi.data.shape[0] - 1
        epi = Image(epi.data[::-1], epi.affine @ mirror)
    path = tmp_path / "flirt.mat"
    np.savetxt(path, flirt_matrix(epi, participant.mni_to_scanner))
    mapped = read_transform(path, epi)(POINTS)
    assert np.allclose(mapped, apply_affine(participant.mni_to_scanner, POINTS), atol=1e-2)


def test_registering_by_a_transform_is_exact_and_judged(participant, tmp_path) -> None:
    """The right file is taken as it is; its inverse is refused for its overlap."""
    right, wrong = tmp_path / "right.txt", tmp_path / "wrong.txt"
    far = participant.mni_to_scanner @ participant.mni_to_scanner
    write_text(right, participant.mni_to_scanner)
    write_text(wrong, np.linalg.inv(far))
    options = {"grid_shape": participant.grid_shape, "grid_affine": participant.grid_affine}
    epi = participant.epi
    result = register(epi.data, epi.affine, transform=right, **options)
    assert result.overlap > 0.93
    assert result.information > 0.5
    assert "right.txt" in result.method
    assert "nitransforms" in result.method
    with pytest.raises(RunError, match=r"overlap by .*check its direction"):
        register(epi.data, epi.affine, transform=wrong, **options)


def test_a_head_upside_down_within_its_outlines_is_warned_about(participant, tmp_path) -> None:
    """A turned brain that still overlaps is betrayed by what is in it."""
    path = tmp_path / "turned.txt"
    turn = np.diag([-1.0, -1.0, 1.0, 1.0])  # half a turn: front to back, left to right
    turn[1, 3] = -36.0
    write_text(path, participant.mni_to_scanner @ turn)
    result = register(
        participant.epi.data,
        participant.epi.affine,
        transform=path,
        grid_shape=participant.grid_shape,
        grid_affine=participant.grid_affine,
    )
    assert any("mutual information" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("garbage.h5", b"not HDF5"),
        ("garbage.txt", b"\xff\xfe\x00"),
        ("empty.txt", b""),
        ("short.mat", b"1 0 0\n0 1 0"),
        ("garbage.mat", b"\x00\x01\x02" * 50),
        ("singular.mat", b"0 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"),
        ("nan.mat", b"nan 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"),
        ("warp.nii.gz", b""),
    ],
)
def test_garbage_is_refused_with_what_is_expected(participant, tmp_path, name, content) -> None:
    """A file that is no transform is named, and the message says which files are."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"{name}: .*antsApplyTransforms"):
        read_transform(path, participant.epi)


def test_a_transform_of_another_type_or_none_is_refused(participant, tmp_path) -> None:
    """An Euler transform's six numbers are not taken for a matrix; an absent file is named."""
    path = tmp_path / "euler.txt"
    write_text(path, np.eye(4), kind="Euler3DTransform_double_3_3")
    with pytest.raises(ConfigError, match="Euler3DTransform"):
        read_transform(path, participant.epi)
    with pytest.raises(ConfigError, match="no such file"):
        read_transform(tmp_path / "absent.h5", participant.epi)
