"""Classic single-slice objects of GE and Philips."""

import numpy as np
import pytest

from rtdecode.dicom import assemble, parse
from rtdecode.errors import VolumeError


def write_all(folder, objects):
    """Write objects under names that sort in reverse order."""
    for at, content in enumerate(objects):
        (folder / f"{len(objects) - at:04d}").write_bytes(content)
    return folder


def as_stored(volume):
    """Return a (slices, rows, columns) volume as dcm2niix stores it."""
    return volume[:, ::-1].transpose(2, 1, 0)


@pytest.mark.parametrize("count_in", ["private", "standard", "nowhere"])
def test_ge_volumes_are_counted_without_temporal_index(
    builder, run, expected_affine, tmp_path, count_in
):
    """InstanceNumber or repeated locations give the volume of GE slices."""
    write_all(
        tmp_path,
        [builder.ge(run[t], t + 1, z, count_in=count_in) for t in range(4) for z in range(5)],
    )
    volumes = assemble([tmp_path])
    assert [v.index for v in volumes] == [0, 1, 2, 3]
    for volume in volumes:
        np.testing.assert_array_equal(volume.data, as_stored(run[volume.index]))
        np.testing.assert_allclose(volume.affine, expected_affine, atol=1e-5)
        assert volume.acquired_s == pytest.approx(1.5 * volume.index)


@pytest.mark.parametrize("facts", [True, False])
def test_philips_images_numbered_time_first(builder, run, tmp_path, facts):
    """Philips numbers images time first; volumes do not depend on its private elements."""
    write_all(
        tmp_path,
        [
            builder.philips(run[t], t + 1, z, facts=facts, scale_slope=None, slope=None)
            for z in range(5)
            for t in range(4)
        ],
    )
    volumes = assemble([tmp_path])
    assert [v.index for v in volumes] == [0, 1, 2, 3]
    for volume in volumes:
        np.testing.assert_array_equal(volume.data, as_stored(run[volume.index]))


@pytest.mark.parametrize(
    ("slope", "scale_slope", "factor"),
    [(2.0, 0.5, 2.0), (4.0, 0.5, 2.0), (None, 0.25, 4.0), (3.0, None, 3.0), (None, None, 1.0)],
)
def test_philips_scaling_equals_dcm2niix(builder, run, slope, scale_slope, factor):
    """The private scale slope is used; the standard slope only without a private one."""
    content = builder.philips(run[0], 1, 2, slope=slope, scale_slope=scale_slope)
    (slab,) = parse(content, "p").slabs
    np.testing.assert_allclose(slab.data[:, :, 0], factor * as_stored(run[0])[:, :, 2], rtol=1e-6)


def test_bits_above_the_stored_bits_are_cleared(builder):
    """Bits above the stored bits are not signal."""
    ds = builder.slice_dataset(np.array([[0x1001, 0x0FFF]]), 0, 1, "Philips")
    ds.BitsStored, ds.HighBit = 12, 11
    (slab,) = parse(builder.write(ds), "p").slabs
    assert slab.data.ravel().tolist() == [1, 0xFFF]


def test_phase_images_are_refused(builder, run):
    """A phase image is not decoded."""
    ds = builder.slice_dataset(run[0][0], 0, 1, "Philips Medical Systems")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]
    with pytest.raises(VolumeError, match="p is not a magnitude image"):
        parse(builder.write(ds), "p")
