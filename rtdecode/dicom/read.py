"""One DICOM object's bytes -> the few elements that are needed, without copying the pixels.

A reader of its own, because a real-time system must know for every object whether it is whole:
pydicom stops quietly at a cut between two elements, pads or warns, and its strictness is a switch
for the whole process. This one walks the data set (PS3.5 chapter 7) to the last byte, decodes only
the elements in `tags`, and knows one error. It is also several times faster.
"""

import struct
import zlib
from dataclasses import dataclass

from rtdecode.dicom import tags
from rtdecode.errors import VolumeError

MAX_OBJECT_BYTES = 2**30
"""No object may be larger, also once decompressed: an hour of a 1 mm run."""
MAX_INFLATION, INFLATION_SLACK_BYTES = 32, 2**25
"""Compressed objects may grow so many times, and by so much besides: scans grow 2 to 10 times."""
MAX_FILE_HEADER_BYTES = 2**16
MAX_ELEMENTS = 2**23
"""In one object, at all depths: 14,400 frames of an enhanced object have two million."""
MAX_FRAMES = 2**16
"""Items of one sequence: an enhanced object has one for each frame."""
MAX_ITEMS = 2**20
"""Of all sequences of an object together."""

_UNDEFINED = 0xFFFFFFFF
_MAX_DEPTH = 16
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = frozenset((_IMPLICIT, "1.2.840.10008.1.2.1", _BIG_ENDIAN, _DEFLATED))
"""Transfer syntaxes whose pixels lie in the object as they are."""

_SHORT_HEAD = {"<": struct.Struct("<HH2sH"), ">": struct.Struct(">HH2sH")}
_IMPLICIT_HEAD = {"<": struct.Struct("<HHI"), ">": struct.Struct(">HHI")}
_U32 = {"<": struct.Struct("<I"), ">": struct.Struct(">I")}


@dataclass(frozen=True, slots=True)
class Value:
    """One element as stored: where its bytes lie, or the items of a sequence."""

    encoding: bytes
    """Value representation, two capitals."""
    start: int = 0
    stop: int = 0
    items: tuple["Elements", ...] = ()
    encapsulated: bool = False
    """Pixel data in fragments."""


Elements = dict[int, Value]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The wanted elements of one object."""

    content: bytes
    """The object, decompressed; `Value.start` and `stop` count in it."""
    elements: Elements
    order: str
    """`<` for little endian, `>` for big endian."""
    transfer_syntax: str


def read(content: bytes) -> Dataset:
    """Read the wanted elements of one DICOM object.

    Parameters
    ----------
    content
        A DICOM file, or a data set without file header, plain or gzipped.

    Raises
    ------
    VolumeError
        Empty, not DICOM, truncated at any element, or larger than `MAX_OBJECT_BYTES`; the message
        says which, without the object's name.
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
    """Decompress, no further than a scan can have been compressed."""
    limit = min(MAX_OBJECT_BYTES, INFLATION_SLACK_BYTES + MAX_INFLATION * len(content))
    inflater = zlib.decompressobj(window_bits)
    try:
        plain = inflater.decompress(content, limit)
    except zlib.error as problem:
        raise VolumeError(f"is a damaged {what}: {problem}") from problem
    if not inflater.eof:
        if inflater.unconsumed_tail:
            raise VolumeError(
                f"is a {what} of {len(content)} bytes that decompresses to more than {limit}: no "
                "scan does"
            )
        raise VolumeError(f"is a truncated {what}: it may still be being written")
    return plain


def _file_header(content: bytes) -> tuple[int, str]:
    """Return where the data set begins and its transfer syntax (empty where none is given)."""
    if content[128:132] == b"DICM":
        at = 132
    elif content[:4] in (b"\x02\x00\x00\x00", b"\x02\x00\x10\x00"):
        at = 0
    elif content[:2] == b"\x08\x00" and content[2:4] < b"\x70\x00" and content[3:4] == b"\x00":
        return 0, ""
    else:
        raise VolumeError(_what_else(content))
    stop = at
    while content[stop : stop + 2] == b"\x02\x00":
        length, head = _explicit_length(content, stop)
        stop += head + length
        if stop - at > MAX_FILE_HEADER_BYTES:
            raise VolumeError(f"is damaged: its file header exceeds {MAX_FILE_HEADER_BYTES} bytes")
    elements, _ = _Walker(content, "<").walk(at, min(stop, len(content)), explicit=True, depth=0)
    if stop >= len(content):
        raise VolumeError("ends within its file header: it may still be being written")
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


def _what_else(content: bytes) -> str:
    """Say what an object that is not DICOM looks like."""
    if not content.strip(b"\0"):
        return "holds only zeros: it may still be being written"
    if b"DATA DESCRIPTION FILE" in content[:400]:
        return "is a Philips PAR header, not DICOM: have the scanner export DICOM"
    if content[344:348] in (b"n+1\0", b"ni1\0"):
        return "is NIfTI, not DICOM"
    if len(content) < 132:
        return f"is no DICOM object, or only its first {len(content)} bytes"
    if content[:2048].isascii():
        return "is text, not DICOM"
    return (
        "is not DICOM: no 'DICM' at byte 128 and no data set at its start (a Philips REC file has "
        "neither: have the scanner export DICOM)"
    )


class _Walker:
    """Position-keeping over one object's elements; every length is checked before it is used."""

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
        content, unpack, wanted = self.content, self.short.unpack_from, tags.ENCODINGS
        while at < stop:
            self.elements_left -= 1
            if self.elements_left < 0:
                raise VolumeError(f"is damaged: it has more than {MAX_ELEMENTS} elements")
            if explicit and stop - at >= 8:  # nine of ten elements: short, and not wanted
                group, element, encoding, length = unpack(content, at)
                if encoding in _SHORT and length <= stop - at - 8:
                    at += 8
                    tag = group << 16 | element
                    if tag in wanted:
                        found[tag] = Value(encoding, at, at + length)
                    at += length
                    continue
            tag, encoding, length, at = self._head(at, stop, explicit=explicit)
            if tag == _ITEM_END and depth:
                return found, at
            if length == _UNDEFINED:
                value, at = self._open_ended(
                    tag, encoding, at, stop, explicit=explicit, depth=depth
                )
            elif length > stop - at:
                raise VolumeError(_cut(tag, length, stop - at))
            elif wanted.get(tag) == b"SQ":
                items, at = self._items(
                    at, at + length, explicit=explicit and encoding != b"UN", depth=depth
                )
                value = Value(b"SQ", items=items)
            else:
                value = Value(encoding, at, at + length)
                at += length
            if tag in wanted:
                found[tag] = value
        return found, at

    def _head(self, at: int, stop: int, *, explicit: bool) -> tuple[int, bytes, int, int]:
        """Return an element's tag, encoding, value length and where its value begins."""
        if stop - at < 8:
            raise VolumeError(
                f"is truncated: it ends within an element at byte {at}; it may still be being "
                "written"
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

    def _open_ended(
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
            raise VolumeError("is truncated within a sequence; it may still be being written")
        return tuple(items), at

    def _fragments(self, at: int, stop: int) -> int:
        """Return where encapsulated pixel data end, every fragment being whole."""
        while True:
            if stop - at < 8:
                raise VolumeError(
                    "is truncated: its compressed pixels have no end; it may still be being written"
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
        f"is truncated: {what} should have {length} bytes and {left} are there; it may still be "
        "being written"
    )
