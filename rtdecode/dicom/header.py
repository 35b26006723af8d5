"""Typed access to the elements of one object, or of one item of a sequence in it."""

import math
import struct
from dataclasses import dataclass

from rtdecode.dicom import tags
from rtdecode.dicom.read import Dataset, Elements
from rtdecode.errors import VolumeError

_MAX_VALUE_BYTES = 2**14
"""Maximum length of a text or number element; no element that is read is a long list."""
_MAX_COUNT = 2**31 - 1
"""DICOM's limit for integers in text."""

_NUMBERS = {
    b"US": "H",
    b"SS": "h",
    b"UL": "I",
    b"SL": "i",
    b"FL": "f",
    b"FD": "d",
}


@dataclass(frozen=True, slots=True)
class Header:
    """The elements at one level of an object; an empty element counts as absent."""

    dataset: Dataset
    elements: Elements

    def text(self, tag: int) -> str:
        """Return an element as text without padding, empty if it is absent.

        Raises
        ------
        VolumeError
            The element is longer than the limit.
        """
        return self._short(tag).decode("latin-1").replace("\0", " ").strip()

    def texts(self, tag: int) -> tuple[str, ...]:
        """Return the values of a multi-valued text element."""
        text = self.text(tag)
        return tuple(part.strip() for part in text.split("\\")) if text else ()

    def raw(self, tag: int) -> bytes:
        """Return an element's bytes, empty if it is absent."""
        value = self.elements.get(tag)
        return b"" if value is None else self.dataset.content[value.start : value.stop]

    def _short(self, tag: int) -> bytes:
        """Return the bytes of a text or number element."""
        content = self.raw(tag)
        if len(content) > _MAX_VALUE_BYTES:
            raise VolumeError(
                f"is damaged: {_label(tag)} has {len(content)} bytes; at most {_MAX_VALUE_BYTES} "
                "are read"
            )
        return content

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return an element's numbers, none if it is absent.

        Raises
        ------
        VolumeError
            The element does not contain finite numbers.
        """
        value = self.elements.get(tag)
        if value is None:
            return ()
        # Private elements have representation UN in implicit or de-identified objects.
        encoding = tags.ENCODINGS[tag] if value.encoding == b"UN" else value.encoding
        code = _NUMBERS.get(encoding)
        try:
            if code is None:
                numbers = tuple(float(text) for text in self.texts(tag) if text)
            else:
                content = self._short(tag)
                count = len(content) // struct.calcsize(code)
                numbers = struct.unpack_from(f"{self.dataset.order}{count}{code}", content)
        except ValueError as problem:
            raise VolumeError(f"has no number in {_label(tag)}") from problem
        if not all(map(math.isfinite, numbers)):
            raise VolumeError(f"has no finite number in {_label(tag)}")
        return numbers

    def number(self, tag: int) -> float | None:
        """Return an element's first number, `None` if it is absent."""
        numbers = self.numbers(tag)
        return float(numbers[0]) if numbers else None

    def count(self, tag: int) -> int | None:
        """Return an element's first number as an integer, `None` if it is below 1 or absent.

        Raises
        ------
        VolumeError
            The number is above DICOM's limit for integers.
        """
        number = self.number(tag)
        if number is not None and number > _MAX_COUNT:
            raise VolumeError(f"is damaged: {_label(tag)} is {number:g}, above {_MAX_COUNT}")
        return int(number) if number is not None and number >= 1 else None

    def vector(self, tag: int, length: int) -> tuple[float, ...]:
        """Return exactly `length` numbers.

        Raises
        ------
        VolumeError
            The element is absent or has another number of values.
        """
        numbers = self.numbers(tag)
        if len(numbers) != length:
            raise VolumeError(f"needs {length} numbers in {_label(tag)} and has {len(numbers)}")
        return numbers

    def item(self, tag: int) -> "Header | None":
        """Return a sequence's first item, `None` if there is none."""
        value = self.elements.get(tag)
        return Header(self.dataset, value.items[0]) if value is not None and value.items else None

    def items(self, tag: int) -> tuple["Header", ...]:
        """Return a sequence's items."""
        value = self.elements.get(tag)
        return () if value is None else tuple(Header(self.dataset, i) for i in value.items)


def _label(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def clock_s(text: str) -> float:
    """Return the seconds since midnight of a DICOM time or date-time, `nan` if there is none.

    A zone offset is ignored, because the clock is compared only within one series.
    """
    digits = text.replace(":", "").split("+")[0].split("-")[0].strip()
    whole, _, fraction = digits.partition(".")
    if len(whole) >= 14:
        whole = whole[8:14]
    if len(whole) != 6 or not whole.isdecimal() or not (fraction.isdecimal() or not fraction):
        return math.nan
    seconds = int(whole[:2]) * 3600 + int(whole[2:4]) * 60 + int(whole[4:])
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)
