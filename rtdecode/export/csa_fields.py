"""Reduces Siemens' private image header to the fields that a mosaic needs."""

import struct

from rtdecode.dicom.csa import csa_numbers
from rtdecode.errors import VolumeError
from rtdecode.export.keep_list import CSA_FIELDS

_CHECK = 77
_HEAD = b"SV10\x04\x03\x02\x01"
_COUNTS = frozenset(("NumberOfImagesInMosaic",))


def reduce_csa(content: bytes) -> bytes:
    """Return a CSA2 header with only the numbers of `CSA_FIELDS`, unchanged to the last bit."""
    found: dict[str, tuple[float, ...]] = {}
    for name in CSA_FIELDS:
        try:
            numbers = csa_numbers(content, name)
        except VolumeError:
            continue  # the field is missing or unreadable
        if numbers:
            found[name] = numbers
    parts = [_HEAD, struct.pack("<2I", len(found), _CHECK)]
    parts += [_element(name, numbers) for name, numbers in found.items()]
    return b"".join(parts)


def _element(name: str, numbers: tuple[float, ...]) -> bytes:
    kind, code = (b"US", 9) if name in _COUNTS else (b"FD", 4)
    head = struct.pack(
        "<64si4s3i", name.encode("ascii"), len(numbers), kind, code, len(numbers), _CHECK
    )
    items = []
    for number in numbers:
        text = (f"{number:.0f}" if name in _COUNTS else repr(number)).encode("ascii") + b"\0"
        items.append(struct.pack("<4i", len(text), len(text), _CHECK, len(text)))
        items.append(text + b"\0" * (-len(text) % 4))
    return head + b"".join(items)
