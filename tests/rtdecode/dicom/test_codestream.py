"""Compressed pixels: each transfer syntax decodes, and damage gives a VolumeError."""

import struct
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from rtdecode.dicom import parse
from rtdecode.errors import VolumeError


def _rle(image: np.ndarray) -> bytes:
    planes = image.astype(image.dtype.newbyteorder(">")).view("u1").reshape(image.size, -1).T
    segments = [imagecodecs.packbits_encode(plane.tobytes()) for plane in planes]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    offsets = 64 + np.cumsum([0, *map(len, segments[:-1])])
    table = [len(segments), *map(int, offsets), *[0] * (15 - len(segments))]
    return struct.pack("<16I", *table) + b"".join(segments)


ENCODERS: dict[str, Callable[[np.ndarray], bytes]] = {
    "1.2.840.10008.1.2.5": _rle,
    "1.2.840.10008.1.2.4.57": lambda i: imagecodecs.jpeg8_encode(i, lossless=True, predictor=4),
    "1.2.840.10008.1.2.4.70": lambda i: imagecodecs.jpeg8_encode(i, lossless=True),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda i: imagecodecs.jpeg2k_encode(i, codecformat="J2K"),
    "1.2.840.10008.1.2.4.91": lambda i: imagecodecs.jpeg2k_encode(i, codecformat="JP2"),
}


@pytest.fixture(scope="module")
def native(builder) -> bytes:
    """Return a slice of 24 x 20 pixels of 12 bits."""
    picture = np.random.default_rng(1).integers(0, 4096, (24, 20)).astype("<u2")
    ds = builder.slice_dataset(picture, 0, 1, "SIEMENS")
    ds.AcquisitionNumber = 1
    return builder.write(ds)


@pytest.fixture(scope="module")
def compressed(builder, native) -> dict[str, bytes]:
    """Return that slice in each lossless compression that can be read."""
    objects = {}
    for syntax, encode in ENCODERS.items():
        ds = dcmread(BytesIO(native))
        frame = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns)
        ds.PixelData = encapsulate([bytes(encode(frame))])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = UID(syntax)
        objects[syntax] = builder.write(ds)
    return objects


@pytest.mark.parametrize("syntax", ENCODERS)
def test_lossless_compression_is_decoded_exactly(native, compressed, syntax) -> None:
    """Decoded pixels equal the uncompressed ones."""
    one, other = parse(native, "a").slabs[0], parse(compressed[syntax], "b").slabs[0]
    np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("signed_bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"])
def test_negative_pixels_are_decoded_exactly(builder, syntax, signed_bits) -> None:
    """Two's complement is kept, within the stored bits and in the full width."""
    reach = 2 ** (signed_bits - 1)
    kind = np.int8 if signed_bits == 8 else np.int16
    picture = np.random.default_rng(2).integers(-reach, reach, (24, 20)).astype(kind)
    ds = dcmread(BytesIO(builder.write(builder.slice_dataset(picture, 0, 1, "SIEMENS"))))
    ds.AcquisitionNumber, ds.PixelRepresentation = 1, 1
    ds.BitsAllocated, ds.BitsStored = 8 * picture.dtype.itemsize, signed_bits
    ds.HighBit = signed_bits - 1
    ds.PixelData = encapsulate([bytes(ENCODERS[syntax](picture))])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    read = parse(builder.write(ds), "x").slabs[0].data[:, :, 0]
    np.testing.assert_array_equal(read, picture[::-1].T)


@pytest.mark.parametrize("syntax", ENCODERS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_frames_raise_only_volume_errors(compressed, syntax, data) -> None:
    """Damage gives another image or a VolumeError, never another exception or a crash."""
    content = bytearray(compressed[syntax])
    start = content.index(b"\xe0\x7f\x10\x00")
    near = st.integers(start, min(start + 150, len(content) - 1))
    anywhere = st.integers(start, len(content) - 1)
    for at, value in data.draw(st.lists(st.tuples(near | anywhere, st.integers(0, 255)))):
        content[at] = value
    with suppress(VolumeError):
        parse(bytes(content), "damaged")


@pytest.mark.parametrize("precision", [0, 1, 17, 127, 128, 255])
@pytest.mark.parametrize(
    ("syntax", "marker"),
    [("1.2.840.10008.1.2.4.70", b"\xff\xc3"), ("1.2.840.10008.1.2.4.80", b"\xff\xf7")],
)
def test_an_invalid_precision_is_refused(compressed, syntax, marker, precision) -> None:
    """A library crashed on this input, which tools/fuzz/fuzz_dicom.py found."""
    content = bytearray(compressed[syntax])
    content[content.index(marker) + 4] = precision
    with pytest.raises(VolumeError):
        parse(bytes(content), "damaged")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (lambda frame: frame[2:], "does not begin with a JPEG marker"),
        (lambda frame: frame[:2] + frame[2:].replace(b"\xff\xc3", b"\xff\xfe"), "0 frame headers"),
        (lambda frame: frame[:2] + b"\0" + frame[2:], "a JPEG marker is missing"),
    ],
)
def test_a_jpeg_frame_without_its_header_is_refused(builder, native, changed, reason) -> None:
    """A frame without exactly one header is not decoded."""
    ds = dcmread(BytesIO(native))
    syntax = "1.2.840.10008.1.2.4.70"
    picture = np.frombuffer(ds.PixelData, "<u2").reshape(ds.Rows, ds.Columns)
    ds.PixelData = encapsulate([changed(bytes(ENCODERS[syntax](picture)))])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    with pytest.raises(VolumeError, match=reason):
        parse(builder.write(ds), "x")
