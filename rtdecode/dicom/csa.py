"""Siemens' private image header (CSA): the values that a mosaic needs.

The format follows nibabel's description (https://nipy.org/nibabel/dicom/siemens_csa.html): a tag
is a 64-byte name, its counts, and items. Each item has four lengths and text padded to four bytes.
"""

import math
import struct

from rtdecode.errors import VolumeError

_TAG = struct.Struct("<64si4siii")
_ITEM = struct.Struct("<4i")
_MAX_ITEMS = 1024


def csa_numbers(content: bytes, name: str) -> tuple[float, ...]:
    """Return the numbers of one tag of a CSA2 (`SV10`) or CSA1 header, none if it is absent.

    Raises
    ------
    VolumeError
        The header is damaged.
    """
    key = name.encode("ascii") + b"\0"
    at = content.find(key)
    if at < 0 or at + _TAG.size > len(content):
        return ()
    _, _, _, _, count, _ = _TAG.unpack_from(content, at)
    if not 0 <= count <= _MAX_ITEMS:
        raise VolumeError(f"has a damaged CSA header at {name}")
    at += _TAG.size
    numbers = []
    for _ in range(count):
        if at + _ITEM.size > len(content):
            raise VolumeError(f"has a damaged CSA header at {name}")
        lengths = _ITEM.unpack_from(content, at)
        at += _ITEM.size
        # CSA1 adds a constant of its first tag to the first length; the second is the text's.
        length = lengths[1]
        if not 0 <= length <= len(content) - at:
            raise VolumeError(f"has a damaged CSA header at {name}")
        text = content[at : at + length].split(b"\0")[0].strip()
        at += (length + 3) // 4 * 4
        if text:
            try:
                number = float(text)
            except ValueError as problem:
                raise VolumeError(f"has a damaged CSA header at {name}") from problem
            if not math.isfinite(number):
                raise VolumeError(f"has a damaged CSA header at {name}: {number} is not finite")
            numbers.append(number)
    return tuple(numbers)
