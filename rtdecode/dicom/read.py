"""Read the needed elements of one DICOM object, without copying the pixels.

A real-time system must know for each object whether it is whole. pydicom does not suit: it stops
without an error at a cut between two elements, pads or warns, and its strict mode applies to the
whole process. This reader walks the data set (PS3.5 chapter 7) to the last byte, reads only the
elements in `tags`, and raises one error. It is also several times faster.
"""

import struct
import zlib
from dataclasses import dataclass

from rtdecode.dicom import tags
from rtdecode.errors import VolumeError

MAX_OBJECT_BYTES = 2**30
"""Maximum size of an object, also after decompression: an hour of a 1 mm run."""
MAX_INFLATION, INFLATION_SLACK_BYTES = 32, 2**25
"""Maximum growth on decompression, a factor and added bytes; scans grow 2 to 10 times."""
MAX_FILE_HEADER_BYTES = 2**16
MAX_ELEMENTS = 2**23
"""Limit for one object, at all depths: 14,400 frames of an enhanced object have two million."""
MAX_FRAMES = 2**16
"""Limit for the items of one sequence: an enhanced object has one for each frame."""
MAX_ITEMS = 2**20
"""Limit for the items of all sequences of an object together."""

_UNDEFINED = 0xFFFFFFFF
_MAX_DEPTH = 16
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = frozenset((_IMPLICIT, "1.2.840.10008.1.2.1", _BIG_ENDIAN, _DEFLATED))
"""Transfer syntaxes with uncompressed pixels."""

_SHORT_HEAD = {"<": struct.Struct("<HH2sH"), ">": struct.Struct(">HH2sH")}
_IMPLICIT_HEAD = {"<": struct.Struct("<HHI"), ">": struct.Struct(">HHI")}
_U32 = {"<": struct.Struct("<I"), ">": struct.Struct(">I")}


@dataclass(frozen=True, slots=True)
class Value:
    """One element: the position of its bytes in the object, or the items of a sequence."""

    encoding: bytes
    """Value representation, two capital letters."""
    start: int = 0
    stop: int = 0
    items: tuple["Elements", ...] = ()
    encapsulated: bool = False
    """Whether the value is pixel data in fragments."""


Elements = dict[int, Value]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The needed elements of one object."""

    content: bytes
    """Bytes of the decompressed object; `Value.start` and `stop` are positions in it."""
    elements: Elements
    order: str
    """Byte order: `<` for little endian, `>` for big endian."""
    transfer_syntax: str


def read(content: bytes) -> Dataset:
    """Read the needed elements of one DICOM object.

    Parameters
    ----------
    content
        A DICOM file, or a data set without file header, plain or gzipped.

    Raises
    ------
    VolumeError
        The object is empty, not DICOM, truncated at any element, or larger than
        `MAX_OBJECT_BYTES`. The message says which, without the object's name.
    """
    if content[:2] == b"\x1f\x8b":
        content = _inflate(content, zlib.MAX_WBITS | 16, "gzip file")
    if not content:
        raise VolumeError("is empty")
    if len(content) > MAX_OBJECT_BYTES:
        raise VolumeError(f"is larger than {MAX_OBJECT_BYTES} bytes")
    at, syntax = _file_header(content)
    explicit, order = syntax != _IMPLICIT, ">" if syntax == _BIG_ENDIAN else "<"
    if syntax == _DEFLATED:
        content, at = _inflate(content[at:], -zlib.MAX_WBITS, "deflated data set"), 0
    if syntax == "":
        explicit = content[at + 4 : at + 6].isalpha() and content[at + 4 : at + 6].isupper()
        syntax = "1.2.840.10008.1.2.1" if explicit else _IMPLICIT
    elements, _ = _Walker(content, order).walk(at, len(content), explicit=explicit, depth=0)
    return Dataset(content, elements, order, syntax)


def _inflate(content: bytes, window_bits: int, what: str) -> bytes:
    """Decompress up to the largest size that a scan can have."""
    limit = min(MAX_OBJECT_BYTES, INFLATION_SLACK_BYTES + MAX_INFLATION * len(content))
    inflater = zlib.decompressobj(window_bits)
    try:
        plain = inflater.decompress(content, limit)
    except zlib.error as problem:
        raise VolumeError(f"is a damaged {what}: {problem}") from problem
    if not inflater.eof:
        if inflater.unconsumed_tail:
            raise VolumeError(
                f"is a {what} of {len(content)} bytes that decompresses to more than {limit}: it "
                "is no scan"
            )
        raise VolumeError(f"is a truncated {what}: it may not be complete yet")
    return plain


def _file_header(content: bytes) -> tuple[int, str]:
    """Return the start of the data set and its transfer syntax (empty if none is given)."""
    if content[128:132] == b"DICM":
        at = 132
    elif content[:4] in (b"\x02\x00\x00\x00", b"\x02\x00\x10\x00"):
        at = 0
    elif content[:2] == b"\x08\x00" and content[2:4] < b"\x70\x00" and content[3:4] == b"\x00":
        return 0, ""
    else:
        raise VolumeError(_describe_foreign(content))
    stop = at
    while content[stop : stop + 2] == b"\x02\x00":
        length, head = _explicit_length(content, stop)
        stop += head + length
        if stop - at > MAX_FILE_HEADER_BYTES:
            raise VolumeError(f"is damaged: its file header exceeds {MAX_FILE_HEADER_BYTES} bytes")
    elements, _ = _Walker(content, "<").walk(at, min(stop, len(content)), explicit=True, depth=0)
    if stop >= len(content):
        raise VolumeError("ends within its file header: it may not be complete yet")
    value = elements.get(tags.TRANSFER_SYNTAX)
    if value is None:
        return stop, ""
    syntax = content[value.start : value.stop].decode("latin-1").rstrip("\0 ")
    if syntax.strip("0123456789."):
        raise VolumeError("is damaged: its transfer syntax is not an identifier")
    return stop, syntax


def _explicit_length(content: bytes, at: int) -> tuple[int, int]:
    """Return an explicit little-endian element's value length and head length."""
    if content[at + 4 : at + 6] in _LONG:
        return int.from_bytes(content[at + 8 : at + 12], "little"), 12
    return int.from_bytes(content[at + 6 : at + 8], "little"), 8


def _describe_foreign(content: bytes) -> str:
    """Describe an object that is not DICOM."""
    if not content.strip(b"\0"):
        return "holds only zeros: it may not be complete yet"
    if b"DATA DESCRIPTION FILE" in content[:400]:
        return "is a Philips PAR header, not DICOM: have the scanner export DICOM"
    if content[344:348] in (b"n+1\0", b"ni1\0"):
        return "is NIfTI, not DICOM"
    if len(content) < 132:
        return f"is not a DICOM object, or only its first {len(content)} bytes"
    if content[:2048].isascii():
        return "is text, not DICOM"
    return (
        "is not DICOM: no 'DICM' at byte 128 and no data set at its start (a Philips REC file has "
        "neither: have the scanner export DICOM)"
    )


class _Walker:
    """Walks the elements of one object and checks each length before use."""

    def __init__(self, content: bytes, order: str) -> None:
        self.content = content
        self.short = _SHORT_HEAD[order]
        self.implicit = _IMPLICIT_HEAD[order]
        self.u32 = _U32[order]
        self.elements_left = MAX_ELEMENTS
        self.items_left = MAX_ITEMS

    def walk(self, at: int, stop: int, *, explicit: bool, depth: int) -> tuple[Elements, int]:
        """Read elements from `at` to `stop`, or to the end of an item of undefined length."""
        if depth > _MAX_DEPTH:
            raise VolumeError(f"is damaged: sequences nested deeper than {_MAX_DEPTH}")
        found: Elements = {}
        content, unpack, needed = self.content, self.short.unpack_from, tags.ENCODINGS
        while at < stop:
            self.elements_left -= 1
            if self.elements_left < 0:
                raise VolumeError(f"is damaged: it has more than {MAX_ELEMENTS} elements")
            if explicit and stop - at >= 8:  # nine of ten elements: short, and not needed
                group, element, encoding, length = unpack(content, at)
                if encoding in _SHORT and length <= stop - at - 8:
                    at += 8
                    tag = group << 16 | element
                    if tag in needed:
                        found[tag] = Value(encoding, at, at + length)
                    at += length
                    continue
            tag, encoding, length, at = self._head(at, stop, explicit=explicit)
            if tag == _ITEM_END and depth:
                return found, at
            if length == _UNDEFINED:
                value, at = self._undefined_length(
                    tag, encoding, at, stop, explicit=explicit, depth=depth
                )
            elif length > stop - at:
                raise VolumeError(_cut(tag, length, stop - at))
            elif needed.get(tag) == b"SQ":
                items, at = self._items(
                    at, at + length, explicit=explicit and encoding != b"UN", depth=depth
                )
                value = Value(b"SQ", items=items)
            else:
                value = Value(encoding, at, at + length)
                at += length
            if tag in needed:
                found[tag] = value
        return found, at

    def _head(self, at: int, stop: int, *, explicit: bool) -> tuple[int, bytes, int, int]:
        """Return an element's tag, encoding, value length and start of the value."""
        if stop - at < 8:
            raise VolumeError(
                f"is truncated: it ends within an element at byte {at}; it may not be complete yet"
            )
        if not explicit:
            group, element, length = self.implicit.unpack_from(self.content, at)
            tag = group << 16 | element
            return tag, tags.ENCODINGS.get(tag, b"UN"), length, at + 8
        group, element, encoding, length = self.short.unpack_from(self.content, at)
        tag = group << 16 | element
        if group == 0xFFFE:  # items and delimiters have no value representation
            return tag, b"", self.u32.unpack_from(self.content, at + 4)[0], at + 8
        if encoding in _LONG:
            if stop - at < 12:
                raise VolumeError(_cut(tag, 12, stop - at))
            return tag, encoding, self.u32.unpack_from(self.content, at + 8)[0], at + 12
        if encoding not in _SHORT:
            raise VolumeError(f"is damaged: no DICOM element at byte {at}")
        return tag, encoding, length, at + 8

    def _undefined_length(
        self, tag: int, encoding: bytes, at: int, stop: int, *, explicit: bool, depth: int
    ) -> tuple[Value, int]:
        """Read a value of undefined length: encapsulated pixels or a sequence."""
        if tag == tags.PIXEL_DATA:
            end = self._fragments(at, stop)
            return Value(encoding, at, end, encapsulated=True), end
        if encoding not in (b"SQ", b"UN"):
            raise VolumeError(f"is damaged: element {_name(tag)} has no length")
        # PS3.5 6.2.2: an unknown value of undefined length is a sequence in implicit encoding.
        items, at = self._items(
            at, stop, explicit=explicit and encoding != b"UN", depth=depth, delimited=True
        )
        return Value(b"SQ", items=items), at

    def _items(
        self, at: int, stop: int, *, explicit: bool, depth: int, delimited: bool = False
    ) -> tuple[tuple[Elements, ...], int]:
        """Read a sequence's items."""
        items: list[Elements] = []
        while at < stop:
            tag, _, length, at = self._head(at, stop, explicit=explicit)
            if tag == _SEQUENCE_END and delimited:
                return tuple(items), at
            if tag != _ITEM:
                raise VolumeError(f"is damaged: no sequence item at byte {at - 8}")
            self.items_left -= 1
            if len(items) == MAX_FRAMES or self.items_left < 0:
                raise VolumeError(
                    f"is damaged: a sequence has more than {MAX_FRAMES} items, or all together "
                    f"more than {MAX_ITEMS}"
                )
            if length != _UNDEFINED and length > stop - at:
                raise VolumeError(_cut(tag, length, stop - at))
            end = stop if length == _UNDEFINED else at + length
            elements, at = self.walk(at, end, explicit=explicit, depth=depth + 1)
            items.append(elements)
        if delimited:
            raise VolumeError("is truncated within a sequence; it may not be complete yet")
        return tuple(items), at

    def _fragments(self, at: int, stop: int) -> int:
        """Return the end of encapsulated pixel data and check that each fragment is whole."""
        while True:
            if stop - at < 8:
                raise VolumeError(
                    "is truncated: its compressed pixels have no end; it may not be complete yet"
                )
            group, element = struct.unpack_from("<HH", self.content, at)
            length = struct.unpack_from("<I", self.content, at + 4)[0]
            tag, at = group << 16 | element, at + 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM:
                raise VolumeError(f"is damaged: no pixel fragment at byte {at - 8}")
            if length > stop - at:
                raise VolumeError(_cut(tags.PIXEL_DATA, length, stop - at))
            at += length


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _cut(tag: int, length: int, left: int) -> str:
    what = "pixel data" if tag == tags.PIXEL_DATA else f"element {_name(tag)}"
    return (
        f"is truncated: {what} should have {length} bytes and {left} are present; it may not be "
        "complete yet"
    )
