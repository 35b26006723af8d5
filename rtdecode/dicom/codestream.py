"""Check the sizes in the headers of compressed frames, before a decoder allocates memory.

A frame of a few bytes may claim gigapixels in its own header, and decoders trust that header.
Therefore it is compared with the DICOM header first.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise

from rtdecode.errors import VolumeError

RLE = "1.2.840.10008.1.2.5"
JPEG_2000 = frozenset(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"))
JPEG_LS = frozenset(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"))
JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70))
"""The baseline, extended and both lossless processes."""
_START_OF_FRAME = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_SIZE_J2K = b"\xff\x4f\xff\x51"
_JP2_BOXES_BYTES = 1024
"""Maximum length of a JPEG 2000 file header before the codestream."""
_MAX_TILES = 1024
_RLE_HEADER = struct.Struct("<16I")


def check_frame(frame: bytes, syntax: str, rows: int, columns: int, bits: int) -> None:
    """Compare the header of one compressed frame with the DICOM header.

    Parameters
    ----------
    frame
        The bytes of the frame.
    syntax
        Transfer syntax UID.
    rows, columns, bits
        The values in the DICOM header; `bits` are allocated bits.

    Raises
    ------
    VolumeError
        The frame claims another size, or decompresses to more.
    """
    if syntax == RLE:
        _check_rle(frame, rows * columns, bits // 8)
        return
    if syntax in JPEG_2000:
        size = _jpeg_2000_size(frame)
    elif syntax in JPEG or syntax in JPEG_LS:
        size = _jpeg_size(frame)
    else:
        raise VolumeError(f"uses a compression that cannot be read ({syntax})")
    if size != (rows, columns, 1):
        raise VolumeError(
            f"has a compressed frame of {size[0]} x {size[1]} pixels and {size[2]} samples where "
            f"its header says {rows} x {columns} and 1"
        )


def _jpeg_size(frame: bytes) -> tuple[int, int, int]:
    """Return rows, columns and samples of the one frame header in a JPEG or JPEG-LS stream."""
    sizes = list(_frame_headers(frame))
    if len(sizes) != 1:
        raise VolumeError(f"has damaged compressed pixels: {len(sizes)} frame headers in one frame")
    return sizes[0]


def _frame_headers(frame: bytes) -> Iterator[tuple[int, int, int]]:
    if frame[:2] != b"\xff\xd8":
        raise VolumeError(
            "has damaged compressed pixels: a frame does not begin with a JPEG marker"
        )
    at = 2
    while at + 4 <= len(frame):
        if frame[at] != 0xFF:
            raise VolumeError("has damaged compressed pixels: a JPEG marker is missing")
        marker = frame[at + 1]
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        if marker == 0xFF:  # padding
            at += 1
            continue
        at += 2
        if marker in _WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack_from(">H", frame, at)
        if marker in _START_OF_FRAME and at + 8 <= len(frame):
            yield struct.unpack_from(">xxxHHB", frame, at)
        at += max(length, 2)


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int]:
    at = frame.find(_SIZE_J2K, 0, _JP2_BOXES_BYTES)
    if at < 0 or at + 42 > len(frame):
        raise VolumeError("has damaged compressed pixels: a frame has no JPEG 2000 header")
    right, bottom, left, top, tile_width, tile_height, _, _, samples = struct.unpack_from(
        ">8IH", frame, at + 8
    )
    columns, rows = right - left, bottom - top
    if columns < 1 or rows < 1 or not (tile_width and tile_height):
        raise VolumeError("has damaged compressed pixels: a JPEG 2000 frame has no area")
    if -(-columns // tile_width) * -(-rows // tile_height) > _MAX_TILES:
        raise VolumeError(f"has a JPEG 2000 frame of more than {_MAX_TILES} tiles")
    return rows, columns, samples


def _check_rle(frame: bytes, pixels: int, samples: int) -> None:
    """Count the pixels of each segment (PS3.5 annex G), up to the limit."""
    if len(frame) < _RLE_HEADER.size:
        raise VolumeError("has damaged compressed pixels: a frame ends within its RLE header")
    segments, *offsets = _RLE_HEADER.unpack_from(frame)
    if segments != samples:
        raise VolumeError(f"has a frame of {segments} RLE segments; it needs {samples}")
    bounds = [*offsets[:segments], len(frame)]
    if sorted(bounds) != bounds or bounds[0] < _RLE_HEADER.size:
        raise VolumeError("has damaged compressed pixels: RLE segments overlap")
    for start, stop in pairwise(bounds):
        # Two bytes give at most 128 pixels; most segments are too short for a decompression bomb.
        if (stop - start) * 64 <= 2 * pixels:
            continue
        at, length = start, 0
        while at < stop:
            control = frame[at]
            if control < 128:
                length += control + 1
                at += control + 2
            else:
                length += 257 - control if control > 128 else 0
                at += 2 if control > 128 else 1
            if length > 2 * pixels:
                raise VolumeError(f"has an RLE segment that grows beyond its {pixels} pixels")
