"""Registration of a mean EPI to the decoder's grid."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from calibration.registration import Registration, antspyx, register
from calibration.registration.image_geometry import Image, apply_affine, sample, voxel_centres_mm
from calibration.registration.subject_to_mni import GREY_LEVELS, grey_levels
from calibration.registration.template import at_resolution
from rtdecode.errors import ConfigError, RunError
from rtdecode.stages.resample import dilate


def registered(who, **options) -> Registration:
    """Register a participant's EPI on their grid."""
    return register(
        who.epi.data,
        who.epi.affine,
        grid_shape=who.grid_shape,
        grid_affine=who.grid_affine,
        **options,
    )


@pytest.fixture(scope="module")
def quick(participant) -> Registration:
    """Return the participant's affine registration."""
    return registered(participant, quick=True)


def off_mm(registration: Registration, who) -> np.ndarray:
    """Return how far each coordinate lies from the truth."""
    truth = who.truth_mm(dilate(registration.mask))
    return np.linalg.norm(registration.coordinates_mm - truth, axis=1)


def test_a_known_shift_rotation_and_scale_is_recovered_in_millimetres(quick, participant) -> None:
    """Every voxel of the grid is found in the scanner, direction, axes and sides included."""
    off = off_mm(quick, participant)
    assert np.median(off) < 1.5
    assert np.percentile(off, 99) < 4.0


def test_left_and_right_stay_where_they_are(quick, participant) -> None:
    """A point of the left hemisphere is found on the scanner's left, not mirrored."""
    centres = voxel_centres_mm(participant.grid_shape, participant.grid_affine)
    centres = centres[dilate(quick.mask).ravel()]
    middle = participant.mni_to_scanner[0, 3]
    left = quick.coordinates_mm[centres[:, 0] < -40, 0]
    right = quick.coordinates_mm[centres[:, 0] > 40, 0]
    assert left.max() < middle < right.min()


def test_what_is_returned_fits_the_stages(quick, participant) -> None:
    """Coordinates are float32, one for each voxel of the dilated mask, and cannot be changed."""
    assert quick.mask.shape == participant.grid_shape
    assert quick.coordinates_mm.shape == (int(dilate(quick.mask).sum()), 3)
    assert quick.coordinates_mm.dtype == np.float32
    assert not quick.coordinates_mm.flags.writeable
    assert quick.epi_on_grid.shape == participant.grid_shape
    assert quick.overlap > 0.9
    assert quick.covered > 0.95
    assert quick.warnings == ()
    assert "antspyx" in quick.method
    assert "nilearn" in quick.method
    assert "repeats to the bit" in quick.method


def test_the_same_input_gives_the_same_coordinates_and_leaves_nothing_behind(
    participant, quick, tmp_path: Path, monkeypatch, capfd
) -> None:
    """A second registration is bit-identical, prints nothing and leaves no file or setting."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = dict(os.environ)
    told: list[str] = []
    again = registered(participant, quick=True, progress=told.append)
    assert np.array_equal(again.coordinates_mm, quick.coordinates_mm)
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")
    assert told


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with something else."""
    command = [sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def test_a_busy_machine_with_another_cpu_gives_the_same_coordinates(
    participant, quick, monkeypatch
) -> None:
    """Neither what else runs nor the mathematics of an older CPU decides anything."""
    # What glibc and OpenBLAS offer for this; elsewhere the variables change nothing.
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    with busy_cores():
        again = registered(participant, quick=True)
    assert again.coordinates_mm.tobytes() == quick.coordinates_mm.tobytes()
    assert again.mask.tobytes() == quick.mask.tobytes()


def test_last_bits_of_the_epi_do_not_move_the_coordinates(participant, quick, rng) -> None:
    """An EPI that another CPU averaged, with some last bits different, lies at the same place."""
    data = participant.epi.data
    noisy = np.where(rng.random(data.shape) < 0.01, np.nextafter(data, np.float32(0)), data)
    assert (noisy != data).sum() > 500
    again = register(
        noisy,
        participant.epi.affine,
        grid_shape=participant.grid_shape,
        grid_affine=participant.grid_affine,
        quick=True,
    )
    assert np.array_equal(again.coordinates_mm, quick.coordinates_mm)


def test_grey_levels_are_few_and_near(rng) -> None:
    """Each value keeps its place to half a level, and the levels do not depend on the maximum."""
    data = (700 * rng.random((20, 20, 20))).astype(np.float32)
    found = grey_levels(data)
    step = 1024 / GREY_LEVELS
    assert np.abs(found - data).max() <= step / 2
    assert np.array_equal(found % step, np.zeros_like(found))
    brighter = data.copy()
    brighter[0, 0, 0] = 1000
    assert np.array_equal(grey_levels(brighter)[1:], found[1:])


def test_a_deformation_is_followed_by_syn() -> None:
    """SyN brings the points of a bent head much nearer to the truth than its affine part."""
    mni = at_resolution(4.0)
    points = voxel_centres_mm(mni.mask.shape, mni.t1.affine)

    def bend(points_mm: np.ndarray) -> np.ndarray:
        x, y, z = points_mm.T
        push = [6 * np.sin(x / 25), np.zeros_like(y), 5 * np.cos(y / 30) * np.cos(z / 40)]
        return points_mm + np.stack(push, axis=1)

    bent = sample(mni.t1.data, mni.t1.affine, bend(points)).reshape(mni.mask.shape)
    brain = points[mni.mask.ravel()]
    mapped = antspyx.register_pair(
        Image(bent, mni.t1.affine), mni.t1, mni.generous, brain, kind="SyN"
    )
    linear = np.median(np.linalg.norm(mapped.linear_mm - bend(brain), axis=1))
    final = np.median(np.linalg.norm(mapped.final_mm - bend(brain), axis=1))
    assert final < 2.0
    assert final < 0.6 * linear


def test_a_slab_is_found_through_a_t1_of_another_day(slab) -> None:
    """Twelve slices reach MNI by way of a T1, and the operator learns how little they cover."""
    t1 = at_resolution(4.0).t1
    day = np.eye(4)
    day[:3, 3] = [5.0, -8.0, 12.0]
    found = registered(slab, quick=True, t1=(t1.data * 900, day @ t1.affine))
    assert np.median(off_mm(found, slab)) < 2.0
    assert found.covered < 0.8
    assert "field of view holds" in found.warnings[0]
    assert "mean EPI to T1 (Rigid), T1 to MNI (Affine)" in found.method


def test_noise_is_refused_before_registration(participant, rng) -> None:
    """Where no brain stands out, the message says to check the series."""
    faint = np.zeros(participant.epi.data.shape, dtype=np.float32)
    faint[20:24, 20:24, 10:14] = 100
    with pytest.raises(RunError, match="functional series of a head"):
        register(
            faint + rng.random(faint.shape, dtype=np.float32),
            participant.epi.affine,
            grid_shape=participant.grid_shape,
            grid_affine=participant.grid_affine,
        )


def test_every_bad_argument_is_named_at_once(participant, tmp_path: Path) -> None:
    """Four things wrong give four messages."""
    data = participant.epi.data.copy()
    data[0, 0, 0] = np.nan
    with pytest.raises(ConfigError) as caught:
        register(
            data,
            np.diag([0.0, 1, 1, 1]),
            grid_shape=participant.grid_shape,
            grid_affine=np.eye(3),
            t1=(data, np.eye(4)),
            transform=tmp_path / "x.h5",
        )
    text = str(caught.value)
    assert "mean EPI: holds values that are not finite" in text
    assert "mean EPI: its affine is singular" in text
    assert "decoder's grid: its affine must be 4x4" in text
    assert "give only one of them" in text


def test_a_failure_of_the_library_is_told_with_what_it_said(participant) -> None:
    """A library that fails stops the run with its last words and advice."""
    flat = Image(np.full((8, 8), 1.0), np.eye(4))
    with pytest.raises(RunError, match=r"antspyx .* failed with exit status 1: \w+Error"):
        antspyx.register_pair(
            flat, participant.epi, np.ones((8, 8), dtype=bool), np.zeros((1, 3)), kind="Affine"
        )


def test_an_affine_point_map_is_exact() -> None:
    """Points go through a (4, 4) affine as rows."""
    affine = np.array([[0, -1.0, 0, 3], [1, 0, 0, 4], [0, 0, 2, 5], [0, 0, 0, 1]])
    assert np.allclose(apply_affine(affine, np.array([[1.0, 2, 3]])), [[1, 5, 11]])
