"""The part of the Siemens CSA image header (0029,1010) that readers of mosaics need.

The layout is "SV10", as documented by nibabel (https://nipy.org/nibabel/dicom/siemens_csa.html).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_CHECK = 77
_ITEMS = 6
"""Scanners reserve space for this number of values in every element."""


@dataclass(frozen=True)
class CsaElement:
    """One element: a name, a DICOM value representation, and values as text."""

    name: str
    vr: str
    values: tuple[str, ...]


_VR_CODES = {"FD": 4, "IS": 6, "DS": 3, "US": 9, "LO": 19, "SH": 20}
"""Siemens' number (syngo DT) of each value representation."""


def encode(elements: Sequence[CsaElement]) -> bytes:
    """Return the header with `elements`."""
    parts = [b"SV10\x04\x03\x02\x01", struct.pack("<2I", len(elements), _CHECK)]
    for element in elements:
        count = max(_ITEMS, len(element.values))
        parts.append(
            struct.pack(
                "<64si4s3i",
                element.name.encode("ascii"),
                len(element.values),
                element.vr.encode("ascii"),
                _VR_CODES[element.vr],
                count,
                _CHECK,
            )
        )
        for position in range(count):
            text = b""
            if position < len(element.values):
                text = element.values[position].encode("ascii") + b"\0"
            parts.append(struct.pack("<4i", len(text), len(text), _CHECK, len(text)))
            parts.append(text + b"\0" * (-len(text) % 4))
    return b"".join(parts)
