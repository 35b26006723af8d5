"""The Siemens CSA image header (0029,1010), as far as readers of mosaics need it.

Layout "SV10", as nibabel documents it (https://nipy.org/nibabel/dicom/siemens_csa.html).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_CHECK = 77
_ITEMS = 6
"""Scanners reserve room for this many values of every element, used or not."""


@dataclass(frozen=True)
class CsaElement:
    """One element: a name, a DICOM value representation, and values as text."""

    name: str
    vr: str
    values: tuple[str, ...]


_VR_CODES = {"FD": 4, "IS": 6, "DS": 3, "US": 9, "LO": 19, "SH": 20}
"""Siemens' own number (syngo DT) for each value representation used here."""


def encode(elements: Sequence[CsaElement]) -> bytes:
    """Return the header that holds `elements`."""
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
