"""Siemens mosaics."""

import numpy as np
import pytest

from rtdecode.dicom import parse
from rtdecode.errors import VolumeError


@pytest.mark.parametrize("count_in", ["element", "csa"])
@pytest.mark.parametrize("implicit", [False, True])
def test_mosaic_volume_equals_dcm2niix(make_builder, run, expected_affine, count_in, implicit):
    """The data are columns, reversed rows and slices, with the affine of the first voxel."""
    content = make_builder(implicit=implicit).mosaic(run[1], 2, count_in=count_in)
    (slab,) = parse(content, "m.dcm").slabs
    np.testing.assert_array_equal(slab.data, run[1][:, ::-1].transpose(2, 1, 0))
    np.testing.assert_allclose(slab.affine, expected_affine, atol=1e-5)
    assert (slab.temporal, slab.slices) == (2, 5)


def test_series_values(builder, run):
    """The series has a digest instead of its identifier."""
    series = parse(builder.mosaic(run[0], 1), "m.dcm").series
    assert series.series_number == 5
    assert series.matrix == (7, 6)
    assert series.repetition_time_s == 1.5
    assert len(series.digest) == 12
    assert series.digest not in builder.series_uid


def test_slices_stored_against_the_normal_keep_their_order(builder, run, expected_affine):
    """If Siemens stores slices against row x column, the affine shows it, as in dcm2niix."""
    (slab,) = parse(builder.mosaic(run[0], 1, normal_sign=-1), "m.dcm").slabs
    np.testing.assert_array_equal(slab.data, run[0][:, ::-1].transpose(2, 1, 0))
    np.testing.assert_allclose(slab.affine[:, 2], -expected_affine[:, 2], atol=1e-5)


def test_mosaic_without_slice_count_is_refused(builder, run):
    """A mosaic without private elements is refused with the reason."""
    with pytest.raises(VolumeError, match=r"m\.dcm is a mosaic that does not say how many slices"):
        parse(builder.mosaic(run[0], 1, count_in="nowhere"), "m.dcm")


def test_instance_number_replaces_a_constant_acquisition_number(builder, run):
    """InstanceNumber counts the volumes of sequences that leave AcquisitionNumber at 1."""
    ds = builder.slice_dataset(run[0][0], 0, 7, "SIEMENS")
    ds.ImageType = [*ds.ImageType, "MOSAIC"]
    ds.AcquisitionNumber = 1
    ds.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    ds.add_new(0x0019100A, "US", 1)
    (slab,) = parse(builder.write(ds), "m.dcm").slabs
    assert slab.temporal == 7
