"""Objects that claim or decompress to impossible sizes are refused before memory is allocated."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from rtdecode.dicom import parse
from rtdecode.dicom.read import INFLATION_SLACK_BYTES, MAX_INFLATION
from rtdecode.errors import VolumeError

MEBIBYTE = 1 << 20
RLE, JPEG, JPEG_LS, JPEG_2000 = (
    f"1.2.840.10008.1.2.{end}" for end in ("5", "4.70", "4.80", "4.90")
)


@pytest.fixture
def refusal_reason() -> Callable[..., str]:
    """Return a function that gives the reason of a refusal and checks the memory used."""

    def reason(content: bytes, most_bytes: int = 4 * MEBIBYTE) -> str:
        tracemalloc.start()
        try:
            with pytest.raises(VolumeError) as refusal:
                parse(content, "object")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < most_bytes + 2 * len(content), f"{peak} bytes for {len(content)}"
        return str(refusal.value)

    return reason


@pytest.fixture
def plain(builder, run) -> Dataset:
    """Return a readable classic slice."""
    ds = builder.slice_dataset(run[0][0], 0, 1, "SIEMENS")
    ds.AcquisitionNumber = 1
    parse(builder.write(ds), "object")
    return ds


def with_value(builder, ds, keyword: str, value: object) -> bytes:
    """Return an object with one element changed, also to a value that pydicom refuses."""
    written = dcmread(BytesIO(builder.write(ds)))
    encoding = written[keyword].VR if keyword in written else "DS"
    if isinstance(value, str):
        written.add_new(keyword, "LO", value)
        content = builder.write(written)
        tag = struct.pack("<HH", written[keyword].tag.group, written[keyword].tag.element)
        return content.replace(tag + b"LO", tag + encoding.encode(), 1)
    setattr(written, keyword, value)
    return builder.write(written)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Rows", 0),
        ("Columns", 65535),
        ("NumberOfFrames", "1000000"),
        ("NumberOfFrames", "1e30"),
        ("InstanceNumber", "1e300"),
        ("SeriesNumber", "-1e300"),
        ("AcquisitionNumber", "131073"),
        ("RescaleSlope", "nan"),
        ("RescaleSlope", "inf"),
        ("RescaleSlope", "1e308"),
        ("RescaleIntercept", "-1e308"),
        ("RepetitionTime", "-2000"),
        ("RepetitionTime", "1e300"),
        ("PixelSpacing", "0\\0"),
        ("PixelSpacing", "-3\\3"),
        ("PixelSpacing", "1e308\\1e308"),
        ("PixelSpacing", "1e-308\\1e-308"),
        ("SpacingBetweenSlices", "1e308"),
        ("ImagePositionPatient", "1e308\\0\\0"),
        ("ImagePositionPatient", "nan\\0\\0"),
        ("ImageOrientationPatient", "1e308\\0\\0\\0\\1e308\\0"),
        ("BitsAllocated", 64),
        ("BitsStored", 60),
        ("SamplesPerPixel", 3),
    ],
)
def test_an_impossible_value_is_refused(builder, plain, refusal_reason, keyword, value) -> None:
    """Texts and negative, zero or huge numbers give a message without a Python warning."""
    assert refusal_reason(with_value(builder, plain, keyword, value)).startswith("object ")


def test_an_element_of_4_gib_is_reported_as_truncated(builder, plain, refusal_reason) -> None:
    """A length beyond the object's end is a truncation; no memory is allocated for it."""
    content = builder.write(plain)
    at = content.index(b"\xe0\x7f\x10\x00")
    claimed = content[: at + 8] + struct.pack("<I", 0xFFFFFFF0) + content[at + 12 :]
    assert "should have 4294967280 bytes" in refusal_reason(claimed)


def test_a_text_of_megabytes_is_not_split_into_numbers(builder, plain, refusal_reason) -> None:
    """Ten million numbers instead of three would need a gigabyte."""
    content = builder.write(plain)
    at = content.index(b"\x20\x00\x32\x00DS")
    length = struct.unpack_from("<H", content, at + 6)[0]
    many = b"1\\" * (10 * MEBIBYTE)
    longer = b"\x20\x00\x32\x00UT\0\0" + struct.pack("<I", len(many)) + many
    reason = refusal_reason(content[:at] + longer + content[at + 8 + length :], MEBIBYTE)
    assert f"has {len(many)} bytes" in reason


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_floating_point_pixels_are_refused(builder, plain, refusal_reason, keyword) -> None:
    """Only integer pixels are read, so NaN and infinity cannot occur."""
    del plain.PixelData
    number = {"FloatPixelData": np.float32, "DoubleFloatPixelData": np.float64}[keyword]
    setattr(plain, keyword, np.full(plain.Rows * plain.Columns, np.nan, number).tobytes())
    assert "no pixel data" in refusal_reason(builder.write(plain))


def test_a_million_frames_are_refused_in_count_and_sequence(builder, run, refusal_reason) -> None:
    """The count is compared with the sequence, and the sequence has a limit."""
    ds = dcmread(BytesIO(builder.enhanced(run[:1])))
    ds.NumberOfFrames = 1_000_000
    assert "describes 5 frames and has 1000000" in refusal_reason(builder.write(ds))
    frames = b"\xfe\xff\x00\xe0\0\0\0\0" * 1_000_000
    head = struct.pack("<HH", 0x5200, 0x9230) + b"SQ\0\0" + struct.pack("<I", len(frames))
    content = builder.write(ds)
    at = content.index(head[:6])
    reason = refusal_reason(content[:at] + head + frames, 16 * MEBIBYTE)
    assert "more than 65536 items" in reason


def test_the_nesting_of_sequences_is_limited(builder, plain, refusal_reason) -> None:
    """Thousands of nested sequences are refused without a stack overflow."""
    opened = b"\x00\x52\x29\x92SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = builder.write(plain)
    at = content.index(b"\xe0\x7f\x10\x00")
    assert "nested deeper than" in refusal_reason(content[:at] + opened * 50_000)


def test_the_length_of_the_file_header_is_limited(builder, plain, refusal_reason) -> None:
    """A group 2 of megabytes is refused."""
    content = builder.write(plain)
    filler = b"\x02\x00\x02\x01OB\0\0\0\0\0\0" * 100_000
    assert "its file header exceeds" in refusal_reason(content[:132] + filler + content[132:])


@pytest.mark.parametrize("wrapped", ["gzip", "deflated"])
def test_a_decompression_bomb_is_stopped_early(builder, plain, refusal_reason, wrapped) -> None:
    """An object that decompresses to a thousand times its size is refused."""
    content = builder.write(plain)
    zeros = bytes(4 * INFLATION_SLACK_BYTES)
    if wrapped == "gzip":
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        bomb = packer.compress(content) + packer.compress(zeros) + packer.flush()
    else:
        plain.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        whole = builder.write(plain)
        at = whole.index(DeflatedExplicitVRLittleEndian.encode()) + 22
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = whole[:at] + packer.compress(zeros) + packer.flush()
    assert len(bomb) * MAX_INFLATION < len(zeros) - INFLATION_SLACK_BYTES
    # The output buffer doubles, so memory may briefly be twice the limit.
    assert "decompresses to more than" in refusal_reason(bomb, 3 * INFLATION_SLACK_BYTES)


def rle(planes: list[bytes]) -> bytes:
    """Return an RLE frame of these segments."""
    offsets, at = [], 64
    for plane in planes:
        offsets.append(at)
        at += len(plane)
    return struct.pack("<16I", len(planes), *offsets, *[0] * (15 - len(planes))) + b"".join(planes)


def compressed(builder, ds, syntax: str, frame: bytes) -> bytes:
    """Return an object whose one frame is `frame`."""
    whole = dcmread(BytesIO(builder.write(ds)))
    whole.file_meta.TransferSyntaxUID = syntax
    whole.PixelData = encapsulate([frame])
    whole["PixelData"].is_undefined_length = True
    return builder.write(whole)


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (JPEG, b"\xff\xd8\xff\xc3\0\x0b\x10\xff\xff\xff\xff\x01\x00\x11\x00\xff\xda"),
        (JPEG_LS, b"\xff\xd8\xff\xf7\0\x0b\x10\xff\xff\xff\xff\x01\x00\x11\x00\xff\xda"),
        (
            JPEG_2000,
            b"\xff\x4f\xff\x51\0\x29\0\0"
            + struct.pack(">8IH", 2**31, 2**31, 0, 0, 2**31, 2**31, 0, 0, 1)
            + b"\x0f\x01\x01",
        ),
    ],
)
def test_a_frame_that_claims_gigapixels_is_not_decoded(
    builder, plain, refusal_reason, syntax, frame
) -> None:
    """The frame's header is compared with the object's header first."""
    reason = refusal_reason(compressed(builder, plain, syntax, frame))
    assert "where its header says 6 x 7" in reason


def test_a_frame_of_a_million_tiles_is_not_decoded(builder, plain, refusal_reason) -> None:
    """JPEG 2000 may have many tiles; decoders allocate memory for each."""
    plain.Rows = plain.Columns = 4096
    frame = b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">8IH", 4096, 4096, 0, 0, 1, 1, 0, 0, 1)
    assert "tiles" in refusal_reason(compressed(builder, plain, JPEG_2000, frame + b"\x0f\x01\x01"))


def test_rle_segments_are_limited_to_the_pixels_of_the_frame(
    builder, plain, refusal_reason
) -> None:
    """A segment that decodes to more pixels is refused."""
    bomb = rle([b"\x81\0" * MEBIBYTE, b"\x81\0" * 16])
    assert "grows beyond its 42 pixels" in refusal_reason(
        compressed(builder, plain, RLE, bomb), MEBIBYTE
    )


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"\0" * 8, "within its RLE header"),
        (struct.pack("<16I", 15, *range(64, 79)), "15 RLE segments"),
        (struct.pack("<16I", 2, 90, 64, *[0] * 13) + bytes(64), "overlap"),
    ],
)
def test_a_damaged_run_length_frame_is_refused(builder, plain, frame, reason) -> None:
    """The segment table in the RLE header is checked."""
    with pytest.raises(VolumeError, match=reason):
        parse(compressed(builder, plain, RLE, frame), "object")


def test_more_frames_than_claimed_are_refused(builder, run) -> None:
    """A classic image with two frames is not decoded as one."""
    ds = dcmread(BytesIO(builder.write(builder.slice_dataset(run[0][0], 0, 1, "SIEMENS"))))
    ds.AcquisitionNumber, ds.NumberOfFrames = 1, 2
    with pytest.raises(VolumeError, match="classic image of 2 frames"):
        parse(builder.write(ds), "object")


def test_a_csa_header_without_finite_numbers_is_refused(builder, run) -> None:
    """A mosaic that claims infinitely many slices does not crash the reader."""
    content = builder.mosaic(run[0], 1, count_in="csa")
    assert b"5.00000000" in content
    for text in (b"inf       ", b"nan       ", b"1e308     "):
        with pytest.raises(VolumeError, match=r"CSA header|claims"):
            parse(content.replace(b"5.00000000", text), "object")


def test_reading_many_shared_items_takes_linear_time(builder, run) -> None:
    """Reading time is not quadratic in the number of shared items."""
    ds = dcmread(BytesIO(builder.enhanced(run[:1])))
    shared = ds.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    shared.PixelMeasuresSequence = Sequence([measures, *[Dataset() for _ in range(20_000)]])
    assert parse(builder.write(ds), "object").slabs[0].data.shape == (7, 6, 5)
