"""Check of the scan protocol."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rtdecode import raw
from rtdecode.check.decoder_check import check_provider
from rtdecode.check.findings import CheckResult
from rtdecode.check.protocol_check import check_geometry, describe_protocol
from rtdecode.errors import ConfigError


def test_a_protocol_is_described_in_words():
    """The text has matrix, slices, voxels, field of view and repetition time."""
    affine = np.diag([3.0, 3.0, 3.5, 1.0])
    affine[:3, 3] = 1 - 3.0 * 79 / 2, -4 - 3.0 * 79 / 2, 0.0
    text = describe_protocol((80, 80, 35), affine, 2.00000061)
    assert text.startswith("matrix 80 x 80, 35 slices; voxels 3 x 3 x 3.5 mm")
    assert "field of view 240 x 240 mm, slices cover 122 mm" in text
    assert "TR 2 s; transverse, centre R1 P4 H60 mm" in text


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
def compare_series(context):
    """Return a function that compares a series with the tiny bundle."""
    check_provider(context)

    def compare(folder: Path):
        context.plan = replace(context.plan, series=(folder,))
        return check_geometry(context)

    return compare


def test_without_a_series_the_expected_protocol_is_shown(context):
    """The row is grey, because no scan was compared."""
    found = check_geometry(context)
    assert found.verdict is CheckResult.GREY
    assert "matrix 24 x 24, 14 slices; voxels 7 x 7 x 8 mm" in found.found
    assert "TR 2 s" in found.found


def test_a_series_that_fits_shows_the_head_position(compare_series, context, write, scan):
    """The decoder's realignment gives the position, and its state is restored."""
    before = context.decoder.state()
    found = compare_series(write(scan(0, shift_mm=3.0), scan(1)))
    after = context.decoder.state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    assert found.verdict is CheckResult.GREEN
    assert found.found.startswith("series 4 fits: matrix 24 x 24, 14 slices")
    assert found.figures["head_shift_mm"] == pytest.approx(3.0, abs=0.5)


def test_a_large_head_shift_is_yellow(compare_series, write, scan):
    """The series fits, but realignment may fail."""
    volume = scan(0)
    affine = volume.affine.copy()
    affine[1, 3] += 24.0
    found = compare_series(write(replace(volume, affine=affine)))
    assert found.verdict is CheckResult.YELLOW
    assert "realignment corrects up to 20 mm and 10°" in found.found
    assert found.figures["head_shift_mm"] == pytest.approx(24.0, abs=2.0)


@pytest.mark.parametrize(
    ("change", "reason"),
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
def test_a_series_that_does_not_fit_is_red_with_both_values(
    compare_series, write, scan, change, reason
):
    """The reason is the service's, and the remedy has the expected protocol."""
    found = compare_series(write(replace(scan(0), **change)))
    assert found.verdict is CheckResult.RED
    assert reason in found.found
    assert "matrix 24 x 24, 14 slices" in found.remedy


def test_files_that_are_not_images_are_refused(compare_series, tmp_path):
    """A folder without an image is an error."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "readme.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="none of 1 files"):
        compare_series(folder)


def test_a_finding_is_encoded_as_json(context):
    """Programs can read a finding."""
    content = msgspec.json.decode(msgspec.json.encode(check_geometry(context)))
    assert content["name"] == "geometry"
    assert content["verdict"] == "grey"
