"""Parse one DICOM object."""

import hashlib
import math

from rtdecode.dicom import tags
from rtdecode.dicom.header import Header
from rtdecode.dicom.kinds import OtherImageError, other_kind, refuse_other_images, require_pixels
from rtdecode.dicom.mosaic import is_mosaic, mosaic_slabs
from rtdecode.dicom.multiframe import is_multiframe, multiframe_slabs, repetition_time_ms
from rtdecode.dicom.read import read
from rtdecode.dicom.single import single_slabs
from rtdecode.dicom.values import Parsed, Series, Slab
from rtdecode.errors import VolumeError

MAX_VOLUMES = 2**17
"""A higher temporal position means a damaged header: this is a day of volumes at 0.66 s."""
MAX_SERIES_NUMBER = 2**31 - 1
MAX_REPETITION_TIME_S = 600.0


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
        The object's series, and a slab for each of its volumes.

    Raises
    ------
    OtherImageError
        The object is whole and is not an MR magnitude image.
    VolumeError
        The object is empty, truncated, damaged, not DICOM, or does not give its position in space
        and time. The message contains `name` and the problem.
    """
    try:
        return _parse(content)
    except OtherImageError as other:
        raise other.named(name) from other
    except VolumeError as problem:
        raise VolumeError(f"{name} {problem}") from problem


def require_whole(content: bytes, name: str) -> None:
    """Refuse a truncated object without decoding its image: for files that are being written.

    `parse` may still refuse the object, but not because more of it is to come.

    Parameters
    ----------
    content
        The object's bytes, plain or gzipped.
    name
        What to call it in an error: a file name.

    Raises
    ------
    VolumeError
        The object is empty, truncated, not DICOM, or ends before its pixels.
    """
    try:
        dataset = read(content)
        require_pixels(Header(dataset, dataset.elements))
    except VolumeError as problem:
        raise VolumeError(f"{name} {problem}") from problem


def _parse(content: bytes) -> Parsed:
    dataset = read(content)
    header = Header(dataset, dataset.elements)
    uid = header.text(tags.SERIES_UID)
    digest = hashlib.sha256(uid.encode("latin-1")).hexdigest()[:12] if uid else ""
    number = _series_number(header)
    refuse_other_images(header, digest, number)
    if not uid:
        raise VolumeError("has no SeriesInstanceUID: its series is unknown")
    kind = other_kind(header)
    try:
        slabs = _slabs(header)
    except VolumeError as problem:
        if kind:  # its problem does not matter, because it is no run
            raise OtherImageError(str(problem), kind, digest, number) from problem
        raise
    for slab in slabs:
        if slab.temporal is None and not slab.instance:
            raise VolumeError(
                "has neither temporal position nor InstanceNumber: its volume is unknown"
            )
        if (slab.temporal or 0) > MAX_VOLUMES:
            raise VolumeError(f"claims to be volume {slab.temporal} of its series")
        slab.data.setflags(write=False)
        slab.affine.setflags(write=False)
    return Parsed(_series(header, slabs[0], kind, digest, number), slabs)


def _series_number(header: Header) -> int:
    number = int(header.number(tags.SERIES_NUMBER) or 0)
    if abs(number) > MAX_SERIES_NUMBER:
        raise VolumeError(f"has a SeriesNumber beyond {MAX_SERIES_NUMBER}")
    return number


def _slabs(header: Header) -> tuple[Slab, ...]:
    if is_multiframe(header):
        return multiframe_slabs(header)
    return mosaic_slabs(header) if is_mosaic(header) else single_slabs(header)


def _series(header: Header, slab: Slab, kind: str, digest: str, number: int) -> Series:
    repetition_ms = repetition_time_ms(header)
    if repetition_ms is not None and not 0 <= repetition_ms <= MAX_REPETITION_TIME_S * 1000:
        raise VolumeError(
            f"has a repetition time of {repetition_ms:g} ms; at most "
            f"{MAX_REPETITION_TIME_S * 1000:g} ms can be"
        )
    columns, rows = slab.data.shape[:2]
    return Series(
        digest=digest,
        series_number=number,
        matrix=(columns, rows),
        echo_time_ms=header.number(tags.ECHO_TIME) or 0.0,
        repetition_time_s=repetition_ms / 1000 if repetition_ms else math.nan,
        image_type=header.texts(tags.IMAGE_TYPE),
        volumes=header.count(tags.TEMPORAL_POSITIONS),
        kind=kind,
    )
