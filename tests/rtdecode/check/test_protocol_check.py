"""What the scanner is to be set to, and whether a test series was."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rtdecode import raw
from rtdecode.check.decoder_check import check_provider
from rtdecode.check.findings import CheckResult
from rtdecode.check.protocol_check import check_geometry, described
from rtdecode.errors import ConfigError


def test_the_protocol_in_words():
    """Matrix, slices, voxels, field of view and repetition time."""
    affine = np.diag([3.0, 3.0, 3.5, 1.0])
    affine[:3, 3] = 1 - 3.0 * 79 / 2, -4 - 3.0 * 79 / 2, 0.0
    told = described((80, 80, 35), affine, 2.00000061)
    assert told.startswith("matrix 80 x 80, 35 slices; voxels 3 x 3 x 3.5 mm")
    assert "field of view 240 x 240 mm, slices cover 122 mm" in told
    assert "TR 2 s; transverse, centre R1 P4 H60 mm" in told


@pytest.fixture
def write(tmp_path):
    """Return a function that writes volumes as raw objects and returns their folder."""

    def put(*volumes) -> Path:
        folder = tmp_path / "series"
        folder.mkdir(exist_ok=True)
        for volume in volumes:
            header = raw.RawHeader(
                series="test",
                index=volume.index,
                shape=volume.data.shape,
                dtype="float32",
                affine=tuple(tuple(row) for row in volume.affine.tolist()),
                repetition_time_s=volume.repetition_time_s,
                series_number=4,
            )
            content = raw.encode(header, volume.data.astype("<f4").tobytes())
            (folder / f"{volume.index:03d}").write_bytes(content)
        return folder

    return put


@pytest.fixture
def compared(subject):
    """Return a function that compares a series with the tiny bundle."""
    check_provider(subject)

    def compare(folder: Path):
        subject.plan = replace(subject.plan, series=(folder,))
        return check_geometry(subject)

    return compare


def test_without_a_series_the_console_is_to_be_looked_at(subject):
    """Nothing was compared, and that is said."""
    found = check_geometry(subject)
    assert found.verdict is CheckResult.GREY
    assert "matrix 24 x 24, 14 slices; voxels 7 x 7 x 8 mm" in found.found
    assert "TR 2 s" in found.found


def test_a_series_that_fits_tells_where_the_head_is(compared, subject, write, scan):
    """By the decoder's own realignment to the calibration run, of which nothing is left in it."""
    before = subject.decoder.state()
    found = compared(write(scan(0, shift_mm=3.0), scan(1)))
    after = subject.decoder.state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert found.verdict is CheckResult.GREEN
    assert found.found.startswith("series 4 fits: matrix 24 x 24, 14 slices")
    assert found.figures["head_shift_mm"] == pytest.approx(3.0, abs=0.5)


def test_a_head_that_lies_far_away_is_yellow(compared, write, scan):
    """The series fits, and realignment may not find its way."""
    volume = scan(0)
    affine = volume.affine.copy()
    affine[1, 3] += 24.0
    found = compared(write(replace(volume, affine=affine)))
    assert found.verdict is CheckResult.YELLOW
    assert "realignment is made for 20 mm and 10°" in found.found
    assert found.figures["head_shift_mm"] == pytest.approx(24.0, abs=2.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"repetition_time_s": 0.72}, "repetition time 0.72 s, the bundle's 2 s"),
        ({"affine": np.diag([7.0, 7.0, 10.0, 1.0])}, "voxels of 7x7x10 mm, the bundle's 7x7x8 mm"),
        (
            {"affine": np.array([[0, 0, 8, -80], [7, 0, 0, -80], [0, 7, 0, -50], [0, 0, 0, 1]])},
            "slices sagittal, the bundle's transverse",
        ),
        ({"data": np.ones((24, 24, 9), np.float32)}, "matrix 24x24x9, the bundle's 24x24x14"),
    ],
)
def test_a_series_that_does_not_fit_is_told_with_both_values(compared, write, scan, change, told):
    """As the service would leave it out, and what to set the scanner to."""
    found = compared(write(replace(scan(0), **change)))
    assert found.verdict is CheckResult.RED
    assert told in found.found
    assert "matrix 24 x 24, 14 slices" in found.remedy


def test_files_that_are_no_images_are_refused(compared, tmp_path):
    """An empty folder, or one of notes."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "readme.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="none of 1 files"):
        compared(folder)


def test_a_finding_is_json(subject):
    """For programs."""
    content = msgspec.json.decode(msgspec.json.encode(check_geometry(subject)))
    assert content["name"] == "geometry"
    assert content["verdict"] == "grey"
