"""One DICOM object's bytes -> `Parsed`."""

import hashlib
import math

from rtdecode.dicom import tags
from rtdecode.dicom.header import Header
from rtdecode.dicom.mosaic import is_mosaic, mosaic_slabs
from rtdecode.dicom.multiframe import is_multiframe, multiframe_slabs, repetition_time_ms
from rtdecode.dicom.read import Elements, read
from rtdecode.dicom.single import single_slabs
from rtdecode.dicom.values import Parsed, Series, Slab
from rtdecode.errors import VolumeError

MAX_VOLUMES = 2**17
"""A higher temporal position is a damaged header: a day at 0.66 s."""

_NOT_MAGNITUDE = frozenset(
    ("P", "R", "I", "PHASE", "REAL", "IMAGINARY", "PHASE MAP", "P_FFE", "R_FFE", "I_FFE")
)


def parse(content: bytes, name: str) -> Parsed:
    """Read one DICOM object.

    Parameters
    ----------
    content
        The object's bytes, plain or gzipped.
    name
        What to call it in an error: a file name.

    Returns
    -------
    Parsed
        Its series, and a slab for each volume it gives to.

    Raises
    ------
    VolumeError
        Empty, truncated, damaged, not DICOM, not an MR magnitude image, or without what its place
        in space and time needs; the message names `name` and what is wrong.
    """
    try:
        return _parse(content)
    except VolumeError as problem:
        raise VolumeError(f"{name} {problem}") from problem


def require_whole(content: bytes, name: str) -> None:
    """Refuse an object that is cut off, without looking at its image: for files being written.

    What passes may still be refused by `parse`, but not because more of it is to come.

    Parameters
    ----------
    content
        The object's bytes, plain or gzipped.
    name
        What to call it in an error: a file name.

    Raises
    ------
    VolumeError
        Empty, truncated, not DICOM, or ending before its pixels.
    """
    try:
        _require_pixels(read(content).elements)
    except VolumeError as problem:
        raise VolumeError(f"{name} {problem}") from problem


def _parse(content: bytes) -> Parsed:
    dataset = read(content)
    header = Header(dataset, dataset.elements)
    _refuse_other_images(header)
    if is_multiframe(header):
        slabs = multiframe_slabs(header)
    elif is_mosaic(header):
        slabs = mosaic_slabs(header)
    else:
        slabs = single_slabs(header)
    for slab in slabs:
        if slab.temporal is None and not slab.instance:
            raise VolumeError(
                "has neither temporal position nor InstanceNumber: its place is unknown"
            )
        if (slab.temporal or 0) > MAX_VOLUMES:
            raise VolumeError(f"claims to be volume {slab.temporal} of its series")
        slab.data.setflags(write=False)
        slab.affine.setflags(write=False)
    return Parsed(_series(header, slabs[0]), slabs)


def _refuse_other_images(header: Header) -> None:
    modality = header.text(tags.MODALITY)
    if modality not in ("", "MR"):
        raise VolumeError(f"is no MR image: its modality is {modality}")
    _require_pixels(header.elements)
    kinds = _NOT_MAGNITUDE.intersection(header.texts(tags.IMAGE_TYPE))
    if kinds or (header.number(tags.GE_RAW_TYPE) or 0) in (1, 2, 3):
        kind = ", ".join(sorted(kinds)) or "by its raw data type"
        raise VolumeError(f"is not a magnitude image ({kind}); only magnitude images are decoded")


def _require_pixels(elements: Elements) -> None:
    if tags.PIXEL_DATA not in elements:
        raise VolumeError("has no pixel data: it is not an image, or only its beginning")


def _series(header: Header, slab: Slab) -> Series:
    uid = header.text(tags.SERIES_UID)
    if not uid:
        raise VolumeError("has no SeriesInstanceUID: its series is unknown")
    repetition_ms = repetition_time_ms(header)
    columns, rows = slab.data.shape[:2]
    return Series(
        digest=hashlib.sha256(uid.encode("latin-1")).hexdigest()[:12],
        series_number=int(header.number(tags.SERIES_NUMBER) or 0),
        matrix=(columns, rows),
        echo_time_ms=header.number(tags.ECHO_TIME) or 0.0,
        repetition_time_s=repetition_ms / 1000 if repetition_ms else math.nan,
        image_type=header.texts(tags.IMAGE_TYPE),
        volumes=header.count(tags.TEMPORAL_POSITIONS),
    )
