"""Decode one compressed frame with imagecodecs.

`codestream` has compared its frame header with the DICOM header before.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtdecode.dicom.codestream import JPEG, JPEG_2000, JPEG_LS, RLE
from rtdecode.errors import VolumeError


def decode_frame(
    frame: bytes, syntax: str, rows: int, columns: int, bits: int
) -> NDArray[np.integer[Any]]:
    """Decode one frame.

    Parameters
    ----------
    frame
        The bytes of the frame.
    syntax
        Transfer syntax UID.
    rows, columns, bits
        The values in the DICOM header; `bits` are allocated bits.

    Returns
    -------
    (rows, columns), unsigned integers of `bits` bits; signed values are in two's complement.

    Raises
    ------
    VolumeError
        The transfer syntax cannot be read, or the number or type of the pixels differs from the
        header.
    RuntimeError, ValueError and others
        The frame is damaged.
    """
    import imagecodecs

    if syntax == RLE:
        return _unpack(frame, rows, columns, bits)
    if syntax in JPEG_LS:
        image = imagecodecs.jpegls_decode(frame)
    elif syntax in JPEG_2000:
        image = imagecodecs.jpeg2k_decode(frame)
    elif syntax in JPEG:
        image = imagecodecs.jpeg8_decode(frame)
    else:
        raise VolumeError(f"uses a compression that cannot be read ({syntax})")
    if image.shape != (rows, columns) or image.dtype.kind not in "ui":
        raise VolumeError(f"decodes to {image.shape} {image.dtype}, not {rows} x {columns} pixels")
    if image.dtype.itemsize > bits // 8:
        raise VolumeError(f"has {8 * image.dtype.itemsize} bits a pixel and claims {bits}")
    # Signed JPEG 2000 is first widened with its sign.
    wide = image.astype(f"{image.dtype.kind}{bits // 8}")
    return wide.view(f"u{bits // 8}")


def _unpack(frame: bytes, rows: int, columns: int, bits: int) -> NDArray[np.integer[Any]]:
    """Decode PackBits: one segment for each byte of a pixel, highest first (PS3.5 annex G)."""
    import imagecodecs

    offsets = np.frombuffer(frame, "<u4", 1 + bits // 8)[1:]
    bounds = [*map(int, offsets), len(frame)]
    planes = []
    for start, stop in pairwise(bounds):
        plane = imagecodecs.packbits_decode(frame[start:stop])
        if len(plane) < rows * columns:
            raise VolumeError(f"has an RLE segment of {len(plane)} of {rows * columns} pixels")
        planes.append(np.frombuffer(plane, np.uint8, rows * columns))
    stacked = np.stack(planes, axis=-1)
    return stacked.view(f">u{bits // 8}").astype(f"u{bits // 8}").reshape(rows, columns)
