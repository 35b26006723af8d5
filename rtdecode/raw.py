"""Raw volumes: a format for senders that have only voxels and an affine, and no DICOM.

The bytes are two lines and the voxels; programs in any language can write them::

    rtdecode volume 1
    {"series": "run-1", "index": 0, "shape": [64, 64, 36], "dtype": "int16",
     "affine": [[...], [...], [...], [0, 0, 0, 1]], "repetition_time_s": 2.0}
    voxels

The second line is JSON (wrapped here). The voxels are little endian, the last axis
fastest (numpy's C order); `affine` takes their indices to scanner millimetres, RAS+.
"""

import hashlib
import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from rtdecode import dicom
from rtdecode.dicom import Parsed, Series, Slab
from rtdecode.errors import VolumeError
from rtdecode.types import Float32, frozen

MAGIC = b"rtdecode volume 1\n"
MAX_HEADER_BYTES = 4096
MAX_AXIS = 1024
MAX_VOXELS = 1 << 25
"""Twenty times a 1 mm whole-brain volume."""
MAX_INDEX = (1 << 17) - 1
MAX_REPETITION_TIME_S = 3600.0
MAX_SERIES = 64
MAX_COORDINATE_MM = 1e5
DTYPES = (
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    "float32",
    "float64",
)


class RawHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the second line."""

    series: str
    """The sender's name of the run: volumes of another series do not belong to this run."""
    index: int
    """Position in the run from 0, dummy volumes included."""
    shape: tuple[int, int, int]
    """(X, Y, Z)."""
    dtype: str
    """One of `DTYPES`."""
    affine: tuple[tuple[float, float, float, float], ...]
    """Voxel to scanner millimetres, RAS+, four rows of four."""
    repetition_time_s: float | None = None
    """`None` if the sender does not know it."""
    series_number: int = 0
    """The scanner's series number, for messages to the operator."""


def is_raw(content: bytes) -> bool:
    """Whether an object's bytes are a raw volume, not DICOM."""
    return content.startswith(MAGIC)


def encode(header: RawHeader, voxels: bytes) -> bytes:
    """Return the bytes of one volume, unchecked; `parse` checks them."""
    return b"".join((MAGIC, msgspec.json.encode(header), b"\n", voxels))


def decode(content: bytes) -> tuple[RawHeader, bytes]:
    """Return the header and the voxels of a result of `encode`.

    Raises
    ------
    VolumeError
        The header is invalid.
    """
    header, at = _header(content)
    return header, content[at:]


def parse_object(content: bytes, name: str) -> Parsed:
    """Read one object, DICOM or a raw volume; its first bytes tell which.

    Parameters
    ----------
    content
        The object's bytes.
    name
        The object's name in an error.

    Raises
    ------
    VolumeError
        It cannot be used; the message gives `name` and the reason.
    """
    return parse(content, name) if is_raw(content) else dicom.parse(content, name)


def parse(content: bytes, name: str) -> Parsed:
    """Read one raw volume.

    Parameters
    ----------
    content
        The volume's bytes.
    name
        The volume's name in an error.

    Returns
    -------
    Parsed
        Its series, and one slab with the whole volume.

    Raises
    ------
    VolumeError
        The header is invalid, the number of voxels differs from the header, or a voxel is not
        finite; the message gives `name`, the rule and the value.
    """
    try:
        header, at = _header(content)
        _check(header)
        data = _voxels(header, memoryview(content)[at:])
    except VolumeError as problem:
        raise VolumeError(f"{name} {problem}") from problem
    columns, rows, slices = header.shape
    repetition_s = header.repetition_time_s
    series = Series(
        digest=hashlib.sha256(header.series.encode()).hexdigest()[:12],
        series_number=header.series_number,
        matrix=(columns, rows),
        echo_time_ms=0.0,
        repetition_time_s=math.nan if repetition_s is None else repetition_s,
        image_type=(),
    )
    slab = Slab(
        data=data,
        affine=frozen(np.array(header.affine), np.float64),
        location_mm=0.0,
        temporal=header.index + 1,
        instance=header.index + 1,
        slices=slices,
        acquisition_clock_s=math.nan,
        trigger_clock_s=math.nan,
    )
    return Parsed(series, (slab,))


def _header(content: bytes) -> tuple[RawHeader, int]:
    """Return the header and the position of the voxels."""
    if not is_raw(content):
        raise VolumeError(f"is no raw volume: it does not begin with {MAGIC.decode().strip()!r}")
    end = content.find(b"\n", len(MAGIC), len(MAGIC) + MAX_HEADER_BYTES)
    if end < 0:
        raise VolumeError(f"has no line of JSON of at most {MAX_HEADER_BYTES} bytes")
    try:
        return msgspec.json.decode(content[len(MAGIC) : end], type=RawHeader), end + 1
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise VolumeError(f"has a header that is not understood: {error}") from error


def _check(header: RawHeader) -> None:
    """Refuse impossible values before memory is allocated."""
    if not 0 <= header.index <= MAX_INDEX:
        raise VolumeError(f"claims index {header.index}; it is 0 to {MAX_INDEX}")
    inside = all(1 <= n <= MAX_AXIS for n in header.shape)
    if not inside or math.prod(header.shape) > MAX_VOXELS:
        raise VolumeError(
            f"claims shape {header.shape}; an axis has 1 to {MAX_AXIS} voxels, all of them "
            f"{MAX_VOXELS} at most"
        )
    if header.dtype not in DTYPES:
        raise VolumeError(f"has voxels of type {header.dtype[:20]!r}; it is {', '.join(DTYPES)}")
    repetition_s = header.repetition_time_s
    if repetition_s is not None and not 0 < repetition_s <= MAX_REPETITION_TIME_S:
        raise VolumeError(
            f"claims a repetition time of {repetition_s} s; it is above 0 and at most "
            f"{MAX_REPETITION_TIME_S:.0f}, or null"
        )
    if not 1 <= len(header.series) <= MAX_SERIES or not header.series.isprintable():
        raise VolumeError(f"names no series of 1 to {MAX_SERIES} printable characters")
    if not 0 <= header.series_number < 2**31:
        raise VolumeError(f"claims series number {header.series_number}")
    _check_affine(header)


def _check_affine(header: RawHeader) -> None:
    affine = np.array(header.affine, dtype=np.float64)
    if affine.shape != (4, 4) or tuple(affine[3]) != (0, 0, 0, 1):
        raise VolumeError("has an affine that is not four rows of four, the last 0 0 0 1")
    # The comparison is also false for nan.
    if not np.abs(affine).max() <= MAX_COORDINATE_MM:
        raise VolumeError(f"has an affine with values beyond {MAX_COORDINATE_MM:.0f} mm")
    voxel_mm3 = abs(float(np.linalg.det(affine[:3, :3])))
    if not 1e-3 <= voxel_mm3 <= 1e5:
        raise VolumeError(f"has voxels of {voxel_mm3:g} mm3 by its affine")


def _voxels(header: RawHeader, buffer: memoryview) -> Float32:
    stored = np.dtype(header.dtype).newbyteorder("<")
    expected = math.prod(header.shape) * stored.itemsize
    if len(buffer) != expected:
        raise VolumeError(
            f"has {len(buffer)} bytes of voxels; {header.shape} of {header.dtype} are {expected}"
        )
    voxels: NDArray[np.generic] = np.frombuffer(buffer, stored).reshape(header.shape)
    with np.errstate(over="ignore"):  # an overflow gives infinity, which is refused below
        data = np.array(voxels, dtype=np.float32)
    if not np.isfinite(data).all():
        raise VolumeError("has voxels that are not finite numbers")
    data.setflags(write=False)
    return data
