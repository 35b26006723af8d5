"""What Pyneal's senders state about a volume, and what they mean by it."""

import math
import re
from typing import Any

import msgspec
import numpy as np

from rtdecode.errors import VolumeError

MAX_HEADER_BYTES = 1 << 16
REPETITION_TIMES_S = (0.02, 60.0)
"""What a scanner may do; a number outside is in the other unit."""
_DTYPE = re.compile(r"[<>=|]?(u?int(8|16|32|64)|float(16|32|64)|[iu][1248]|f[248])")


def repetition_time(stated: str, expected_s: float = math.nan) -> tuple[float | None, str]:
    """Return a stated repetition time in seconds, and the unit that it was in.

    Pyneal's own senders state seconds (Siemens, GE), milliseconds (its simulator) or whatever a
    PAR file has. The unit is the one in which a scanner could do it; where both make sense (20 to
    60), the one nearer to `expected_s`, or seconds.

    Parameters
    ----------
    stated
        A number.
    expected_s
        The bundle's repetition time; `nan` where there is none.
    """
    try:
        value = float(stated)
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
        The frames are no volume.
    """
    if len(frames) != 2:
        raise VolumeError(
            f"a volume is 2 frames, a JSON header and the voxels; {len(frames)} came, the first of "
            f"{len(frames[0])} bytes"
        )
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise VolumeError(f"its header has {len(frames[0])} bytes; {MAX_HEADER_BYTES} at most")
    try:
        return msgspec.json.decode(frames[0], type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise VolumeError(f"its header is no JSON: {error}") from error


def voxels_of(stated: str, buffer: bytes) -> tuple[str, bytes]:
    """Return a type that a raw volume may have, and the voxels in it.

    Raises
    ------
    VolumeError
        The type that is stated is no number's.
    """
    if not _DTYPE.fullmatch(stated):
        raise VolumeError(f"its voxels are of type {stated[:20]!r}, which is no number's")
    stored = np.dtype(stated)
    little = np.dtype("<f4") if stored == np.float16 else stored.newbyteorder("<")
    if little == stored:
        return stored.name, buffer
    if len(buffer) % stored.itemsize:
        raise VolumeError(f"its {len(buffer)} bytes are no whole number of {stated}")
    return little.name, np.frombuffer(buffer, stored).astype(little).tobytes()


def affine(stated: object) -> object:
    """Return the affine, which Pyneal wraps as JSON text.

    Raises
    ------
    VolumeError
        The text is no JSON.
    """
    if not isinstance(stated, str):
        return stated
    try:
        return msgspec.json.decode(stated.encode())
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise VolumeError(f"its affine is no JSON: {error}") from error
