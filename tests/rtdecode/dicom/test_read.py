"""An object that is not a whole DICOM image is refused with its name and the reason."""

import gzip
import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtdecode.dicom import parse, require_whole
from rtdecode.errors import VolumeError

EXAMPLES = settings(max_examples=100, deadline=None)


@pytest.fixture(scope="module")
def objects(builder, run):
    """Return a mosaic and an enhanced object."""
    return builder.mosaic(run[0], 1), builder.enhanced(run[:1])


@pytest.mark.parametrize("which", [0, 1])
@given(data=st.data())
@EXAMPLES
def test_a_truncated_object_is_refused_at_any_byte(objects, which, data):
    """An object without its last byte, or with less, is refused."""
    content = objects[which]
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(VolumeError, match=r"^half\.dcm "):
        parse(content[:cut], "half.dcm")


@pytest.mark.parametrize("which", [0, 1])
def test_require_whole_refuses_every_incomplete_file(objects, which):
    """The quick test agrees with reading, wherever the file ends so far."""
    content = objects[which]
    require_whole(content, "whole.dcm")
    for cut in range(len(content)):
        with pytest.raises(VolumeError, match=r"^half\.dcm "):
            require_whole(content[:cut], "half.dcm")


def test_require_whole_accepts_a_whole_phase_image(builder, run):
    """More bytes would not make a phase image a magnitude image."""
    ds = builder.slice_dataset(run[0, 0], 0, 1, "GE MEDICAL SYSTEMS")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "P"]
    phase = builder.write(ds)
    require_whole(phase, "phase.dcm")
    with pytest.raises(VolumeError, match="not a magnitude image"):
        parse(phase, "phase.dcm")


@pytest.mark.parametrize("which", [0, 1])
@given(data=st.data())
@EXAMPLES
def test_damage_raises_only_volume_errors(objects, which, data):
    """Changed bytes give another image or a VolumeError, never another exception."""
    content = bytearray(objects[which])
    changes = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for at, value in data.draw(st.lists(changes, min_size=1, max_size=5)):
        content[at] = value
    with suppress(VolumeError):
        parse(bytes(content), "damaged.dcm")


@given(content=st.binary(max_size=400))
@EXAMPLES
def test_arbitrary_bytes_are_refused(content):
    """Random bytes are not an image."""
    with pytest.raises(VolumeError, match=r"^noise "):
        parse(content, "noise")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (bytes(5000), "holds only zeros"),
        (b"MIT License\n" * 90, "is text"),
        (b"# === DATA DESCRIPTION FILE ====\n" * 9, "PAR header"),
        (b"\0" * 344 + b"n+1\0" + b"\0" * 400, "is NIfTI"),
        (b"\x1f\x8b\x08nonsense", "damaged gzip"),
        (bytes(range(256)) * 40, "is not DICOM"),
    ],
)
def test_the_format_of_a_foreign_object_is_reported(content, reason):
    """The message names the format of the object."""
    with pytest.raises(VolumeError, match=f"^thing .*{reason}"):
        parse(content, "thing")


def test_gzip_is_read_and_truncated_gzip_is_refused(builder, run):
    """A gzipped object equals the plain one; half of it is refused."""
    content = builder.mosaic(run[0], 1)
    packed = gzip.compress(content)
    one, other = parse(content, "a").slabs[0], parse(packed, "a.gz").slabs[0]
    np.testing.assert_array_equal(one.data, other.data)
    with pytest.raises(VolumeError, match="truncated gzip"):
        parse(packed[:-9], "a.gz")


def test_impossible_sizes_are_refused_before_memory_is_allocated(builder, run):
    """A header that claims gigapixels is refused."""
    ds = builder.slice_dataset(run[0][0], 0, 1, "SIEMENS")
    ds.Rows = ds.Columns = 65535
    with pytest.raises(VolumeError, match="claims 1 frames of 65535 x 65535"):
        parse(builder.write(ds), "huge")


def test_an_object_without_pixels_is_no_image(builder, run):
    """A report, or a header without pixels, is refused."""
    ds = builder.slice_dataset(run[0][0], 0, 1, "SIEMENS")
    del ds.PixelData
    with pytest.raises(VolumeError, match="no pixel data"):
        parse(builder.write(ds), "report")
    ds.Modality = "SR"
    with pytest.raises(VolumeError, match="its modality is SR"):
        parse(builder.write(ds), "report")


def test_nonstandard_values_give_no_python_warning(builder, run):
    """Values with a length or characters against the standard are read."""
    ds = builder.slice_dataset(run[0][0], 0, 1, "SIEMENS")
    ds.AcquisitionNumber = 3
    content = builder.write(ds).replace(b"ISO_IR 100", b"ISO_IR 999")
    content = content.replace(b"ORIGINAL\\PRIMARY", b"original\\primary")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse(content, "odd").slabs[0].temporal == 3


def test_parsing_is_deterministic(builder, run):
    """The same bytes give the same values."""
    content = builder.mosaic(run[0], 1)
    one, other = parse(content, "a"), parse(content, "b")
    assert one.series == other.series
    assert one.slabs[0].data.tobytes() == other.slabs[0].data.tobytes()
    assert one.slabs[0].affine.tobytes() == other.slabs[0].affine.tobytes()
    assert not one.slabs[0].data.flags.writeable
