"""Reads the messages of Pyneal's senders."""

import math
import re
from typing import Any

import msgspec
import numpy as np

from rtdecode.errors import VolumeError

MAX_HEADER_BYTES = 1 << 16
REPETITION_TIMES_S = (0.02, 60.0)
"""Shortest and longest possible repetition time of a scanner."""
_DTYPE = re.compile(r"[<>=|]?(u?int(8|16|32|64)|float(16|32|64)|[iu][1248]|f[248])")


def repetition_time(text: str, expected_s: float = math.nan) -> tuple[float | None, str]:
    """Return the repetition time of a header in seconds, and its unit in the header.

    Pyneal's senders give seconds (Siemens, GE), milliseconds (its simulator) or the value of a
    PAR file. The unit is the one that gives a possible time. If both units do (numbers from 20 to
    60), the time nearer to `expected_s` is used, or seconds without it.

    Parameters
    ----------
    text
        A number.
    expected_s
        The bundle's repetition time; `nan` if there is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    shortest_s, longest_s = REPETITION_TIMES_S
    candidates = [
        (seconds, unit)
        for seconds, unit in ((value, "seconds"), (value / 1e3, "milliseconds"))
        if shortest_s <= seconds <= longest_s
    ]
    if not candidates:
        return None, "nothing"
    if expected_s > 0:
        candidates.sort(key=lambda candidate: abs(math.log(candidate[0] / expected_s)))
    return candidates[0]


def header_of(frames: list[bytes]) -> dict[str, Any]:
    """Return a volume's header.

    Raises
    ------
    VolumeError
        The frames are not a volume.
    """
    if len(frames) != 2:
        raise VolumeError(
            f"a volume is 2 frames, a JSON header and the voxels; this message has "
            f"{len(frames)}, the first of {len(frames[0])} bytes"
        )
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise VolumeError(f"its header has {len(frames[0])} bytes; the limit is {MAX_HEADER_BYTES}")
    try:
        return msgspec.json.decode(frames[0], type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise VolumeError(f"its header is not JSON: {error}") from error


def voxels_of(type_name: str, buffer: bytes) -> tuple[str, bytes]:
    """Return the voxels in a type that a raw volume may have, and the name of this type.

    Raises
    ------
    VolumeError
        The type is not a type of numbers.
    """
    if not _DTYPE.fullmatch(type_name):
        raise VolumeError(
            f"its voxels are of type {type_name[:20]!r}, which is not a type of numbers"
        )
    stored = np.dtype(type_name)
    little = np.dtype("<f4") if stored == np.float16 else stored.newbyteorder("<")
    if little == stored:
        return stored.name, buffer
    if len(buffer) % stored.itemsize:
        raise VolumeError(f"its {len(buffer)} bytes are not a multiple of the size of {type_name}")
    return little.name, np.frombuffer(buffer, stored).astype(little).tobytes()


def affine(value: object) -> object:
    """Return the affine of a header, which may be JSON text.

    Raises
    ------
    VolumeError
        The text is not JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value.encode())
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise VolumeError(f"its affine is not JSON: {error}") from error
