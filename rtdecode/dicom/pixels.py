"""Stored pixel values of one object, uncompressed or compressed, and their scaling."""

import struct
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtdecode.dicom import tags
from rtdecode.dicom.codestream import check_frame
from rtdecode.dicom.header import Header
from rtdecode.dicom.read import MAX_FRAMES, NATIVE
from rtdecode.errors import VolumeError
from rtdecode.types import Float32

MAX_PIXELS = 2**28
"""Limit for one object: 200 volumes of 104 x 90 x 72 have 2**27 pixels."""
MAX_FRAME_PIXELS = 2**24
"""Limit for one frame: a mosaic of 100 slices of 256 x 256 has 2**23 pixels."""
MAX_SLOPE, MAX_INTERCEPT = 1e6, 1e12
"""Limits that keep the sum of squares of any volume finite in single precision."""
_MAX_REASON = 120


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scaling of stored values: `stored * slope + intercept`."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, stored: NDArray[np.integer[Any]]) -> Float32:
        """Return scaled values, C-contiguous.

        Raises
        ------
        VolumeError
            The scaling is above the limits.
        """
        if not (abs(self.slope) <= MAX_SLOPE and abs(self.intercept) <= MAX_INTERCEPT):
            raise VolumeError(
                f"scales its pixels by {self.slope:g} and adds {self.intercept:g}; at most "
                f"{MAX_SLOPE:g} and {MAX_INTERCEPT:g} can be"
            )
        values = stored.astype(np.float32, order="C")
        if self.slope != 1.0:
            values *= np.float32(self.slope)
        if self.intercept != 0.0:
            values += np.float32(self.intercept)
        return values


def philips_scaling(slope: float, intercept: float, scale_slope: float) -> Scaling:
    """Return Philips' floating-point scaling (Chenevert et al. 2014, PMC3998685), as dcm2niix does.

    The standard slope and intercept map only to displayed values; the private scale slope reverses
    that.
    """
    if slope * scale_slope == 0:
        return Scaling(slope, intercept)
    return Scaling(1.0 / scale_slope, intercept / (slope * scale_slope))


def stored_pixels(header: Header) -> NDArray[np.integer[Any]]:
    """Return the stored values of an object as (frames, rows, columns).

    Raises
    ------
    VolumeError
        There are no pixels, fewer than claimed or more than `MAX_PIXELS`, or they are in colour or
        cannot be decoded.
    """
    value = header.elements.get(tags.PIXEL_DATA)
    if value is None:
        raise VolumeError("has no pixel data: it is not an image, or only its beginning")
    rows, columns, bits, stored, signed = _layout(header)
    frames = header.count(tags.FRAMES) or 1
    pixels = frames * rows * columns
    if pixels > MAX_PIXELS or rows * columns > MAX_FRAME_PIXELS or frames > MAX_FRAMES:
        raise VolumeError(
            f"claims {frames} frames of {rows} x {columns} pixels; at most {MAX_FRAMES} frames of "
            f"{MAX_FRAME_PIXELS} pixels, and {MAX_PIXELS} pixels in all, are read from one object"
        )
    dataset = header.dataset
    if not value.encapsulated:
        if dataset.transfer_syntax not in NATIVE:
            raise VolumeError(
                f"claims compressed pixels ({dataset.transfer_syntax}) but has uncompressed ones"
            )
        dtype = np.dtype(f"{dataset.order}{'i' if signed else 'u'}{bits // 8}")
        expected, present = pixels * dtype.itemsize, value.stop - value.start
        if present < expected:
            raise VolumeError(
                f"is truncated: {frames} x {rows} x {columns} pixels need {expected} bytes and "
                f"{present} are present"
            )
        flat = np.frombuffer(dataset.content, dtype, pixels, value.start)
    else:
        flat = _decode(header, value.start, value.stop, rows, columns, frames)
    image = flat.reshape(frames, rows, columns)
    return _within_stored_bits(image, bits, stored, signed=signed)


def _layout(header: Header) -> tuple[int, int, int, int, bool]:
    """Return rows, columns, bits allocated, bits stored, and whether values are signed."""
    rows, columns = header.count(tags.ROWS), header.count(tags.COLUMNS)
    bits = header.count(tags.BITS_ALLOCATED)
    if rows is None or columns is None or bits is None:
        raise VolumeError("does not give its number of pixels: it is not an image")
    if (header.count(tags.SAMPLES_PER_PIXEL) or 1) != 1:
        raise VolumeError("is a colour image")
    if bits not in (8, 16, 32):
        raise VolumeError(f"has {bits} bits a pixel; 8, 16 and 32 can be read")
    stored = header.count(tags.BITS_STORED) or bits
    if stored > bits:
        raise VolumeError(f"is damaged: {stored} bits stored of {bits} allocated")
    return rows, columns, bits, stored, header.number(tags.PIXEL_SIGNED) == 1


def _within_stored_bits(
    image: NDArray[np.integer[Any]], bits: int, stored: int, *, signed: bool
) -> NDArray[np.integer[Any]]:
    """Clear the bits above the stored bits (overlays, or an overflow), as dcm2niix does."""
    if stored == bits:
        return image
    ceiling = 1 << (stored - 1 if signed else stored)
    if image.max() < ceiling and (not signed or image.min() >= -ceiling):
        return image
    if not signed:
        return image & image.dtype.type(ceiling - 1)
    spare = image.dtype.type(bits - stored)
    return (image << spare) >> spare


def _decode(
    header: Header, start: int, stop: int, rows: int, columns: int, frames: int
) -> NDArray[np.integer[Any]]:
    """Decode encapsulated pixels, frame by frame."""
    from pydicom.encaps import generate_frames

    from rtdecode.dicom.decode import decode_frame

    syntax = header.dataset.transfer_syntax
    bits, signed = header.count(tags.BITS_ALLOCATED) or 0, header.number(tags.PIXEL_SIGNED) == 1
    decoded: list[NDArray[np.integer[Any]]] = []
    try:
        with warnings.catch_warnings():  # problems are raised below or do not matter
            warnings.simplefilter("ignore")
            content = header.dataset.content[start:stop]
            for frame in generate_frames(content, number_of_frames=frames):
                if len(decoded) == frames:
                    raise VolumeError(f"has more compressed frames than the {frames} it claims")
                check_frame(frame, syntax, rows, columns, bits)
                decoded.append(decode_frame(frame, syntax, rows, columns, bits))
    except (
        # pydicom and the decoders raise these on damaged input.
        ValueError,
        RuntimeError,
        AttributeError,
        TypeError,
        IndexError,
        KeyError,
        OSError,
        EOFError,
        struct.error,
    ) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        reason = "".join(c if c.isprintable() else "?" for c in reason[:_MAX_REASON])
        raise VolumeError(f"has damaged compressed pixels: {reason}") from problem
    if len(decoded) != frames:
        raise VolumeError(f"has {len(decoded)} compressed frames and claims {frames}")
    image = np.stack(decoded)
    return image.view(image.dtype.str.replace("u", "i")) if signed else image
