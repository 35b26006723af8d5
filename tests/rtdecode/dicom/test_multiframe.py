"""Enhanced multi-frame objects."""

import numpy as np
import pytest

from rtdecode.dicom import assemble, parse


@pytest.mark.parametrize("slices_outer", [False, True])
@pytest.mark.parametrize("implicit", [False, True])
def test_several_volumes_in_one_object(
    make_builder, run, expected_affine, tmp_path, slices_outer, implicit
):
    """Headers give volume and slice of each frame, in both orders."""
    path = tmp_path / "run.dcm"
    path.write_bytes(make_builder(implicit=implicit).enhanced(run, slices_outer=slices_outer))
    volumes = assemble([path])
    assert [v.index for v in volumes] == [0, 1, 2, 3]
    for volume in volumes:
        np.testing.assert_array_equal(volume.data, run[volume.index][:, ::-1].transpose(2, 1, 0))
        np.testing.assert_allclose(volume.affine, expected_affine, atol=1e-5)
        assert volume.repetition_time_s == 1.5
        assert volume.acquired_s == pytest.approx(1.5 * volume.index)


def test_one_volume_per_object(builder, run, tmp_path):
    """Siemens XA writes one volume per object; AcquisitionNumber counts them."""
    for at in range(4):
        (tmp_path / f"{9 - at}").write_bytes(builder.enhanced(run[at : at + 1], first=at + 1))
    volumes = assemble([tmp_path])
    assert [v.index for v in volumes] == [0, 1, 2, 3]
    assert [v.data.max() for v in volumes] == [r.max() for r in run]


def test_a_volume_with_a_missing_frame_is_not_whole(builder, run):
    """If the last volume of an object lacks a slice, all its slabs give the full slice count."""
    parsed = parse(builder.enhanced(run), "e")
    assert {slab.slices for slab in parsed.slabs} == {5}
    assert {slab.data.shape for slab in parsed.slabs} == {(7, 6, 5)}
