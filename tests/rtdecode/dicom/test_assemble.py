"""Volumes from a finished folder."""

import gzip
import logging

import numpy as np
import pytest

from rtdecode.dicom import assemble
from rtdecode.errors import VolumeError


def test_headers_decide_order_and_duplicates_are_dropped(builder, run, tmp_path):
    """A copy of the last volume that sorts first changes nothing."""
    (tmp_path / "000.dcm").write_bytes(builder.mosaic(run[3], 4))
    for at in (2, 0, 3, 1):
        (tmp_path / f"{9 - at}.dcm").write_bytes(builder.mosaic(run[at], at + 1))
    volumes = assemble([tmp_path])
    assert [v.index for v in volumes] == [0, 1, 2, 3]
    assert [v.identity.acquisition for v in volumes] == [1, 2, 3, 4]
    for volume in volumes:
        np.testing.assert_array_equal(volume.data, run[volume.index][:, ::-1].transpose(2, 1, 0))


def test_gzipped_files_and_single_paths(builder, run, tmp_path):
    """Gzipped files are read, and one path needs no list."""
    path = tmp_path / "a.dcm.gz"
    path.write_bytes(gzip.compress(builder.mosaic(run[0], 1)))
    assert len(assemble(str(path))) == 1
    assert len(assemble([path, path])) == 1


def test_indices_are_unchanged_by_a_missing_volume(builder, run, tmp_path, caplog):
    """The missing volume is logged; the others keep their numbers."""
    for at in (0, 1, 3):
        (tmp_path / f"{at}").write_bytes(builder.mosaic(run[at], at + 1))
    with caplog.at_level(logging.WARNING):
        assert [v.index for v in assemble([tmp_path])] == [0, 1, 3]
    assert "left out: volume 2, no image of it arrived" in caplog.text


def test_an_incomplete_last_volume_is_left_out(builder, run, tmp_path, caplog):
    """A run that was stopped within a volume ends with the last whole one."""
    slices = [(t, z) for t in range(4) for z in range(5)][:-2]
    for at, (t, z) in enumerate(slices):
        (tmp_path / f"{at}").write_bytes(builder.philips(run[t], t + 1, z))
    with caplog.at_level(logging.WARNING):
        assert [v.index for v in assemble([tmp_path])] == [0, 1, 2]
    assert "left out: volume 3, 3 of 5 slices arrived" in caplog.text


def test_several_series_are_listed(builder, make_builder, run, tmp_path):
    """The error lists the series numbers in a folder."""
    (tmp_path / "a").write_bytes(builder.mosaic(run[0], 1))
    other = make_builder(series_uid="1.2.3.4", series_number=9)
    (tmp_path / "b").write_bytes(other.mosaic(run[0], 1))
    with pytest.raises(VolumeError, match=r"2 series here, numbers 5 .*, 9 "):
        assemble([tmp_path])


def test_other_files_in_a_folder_are_left_out_with_a_warning(builder, run, tmp_path, caplog):
    """A licence file among the images is logged and does not stop the reading."""
    (tmp_path / "LICENSE").write_text("Permission is hereby granted\n" * 9)
    (tmp_path / "a").write_bytes(builder.mosaic(run[0], 1))
    with caplog.at_level(logging.WARNING):
        assert len(assemble([tmp_path])) == 1
    assert "LICENSE is text, not DICOM" in caplog.text


def test_an_unreadable_file_in_the_arguments_is_an_error(builder, run, tmp_path):
    """A file that the user names is never left out without an error."""
    (tmp_path / "a").write_bytes(builder.mosaic(run[0], 1))
    (tmp_path / "half").write_bytes(builder.mosaic(run[1], 2)[:-1])
    with pytest.raises(VolumeError, match="half is truncated"):
        assemble([tmp_path / "a", tmp_path / "half"])
    with pytest.raises(VolumeError, match="nowhere cannot be read"):
        assemble([tmp_path / "nowhere"])


def test_no_images_is_an_error(tmp_path):
    """A folder without images is refused with that reason."""
    with pytest.raises(VolumeError, match="no MR images"):
        assemble([tmp_path])
    (tmp_path / "x.par").write_text("# === DATA DESCRIPTION FILE =====\n")
    with pytest.raises(VolumeError, match="PAR header"):
        assemble([tmp_path])


def test_clock_is_relative_to_the_first_volume(builder, run, tmp_path):
    """Acquisition times count from the run's first volume."""
    for at in range(4):
        (tmp_path / f"{at}").write_bytes(builder.mosaic(run[at], at + 1))
    assert [v.acquired_s for v in assemble([tmp_path])] == pytest.approx([0, 1.5, 3, 4.5])
