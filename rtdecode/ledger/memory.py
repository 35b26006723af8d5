"""What went out, as checksums: a repeat is told from an image that contradicts it."""

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Self

from rtdecode.dicom import Held, Slab, same_place

REMEMBERED = 64
"""Volumes; a repeat of an older one counts as the same."""


class Memory:
    """The newest volumes that went out."""

    def __init__(self) -> None:
        self._volumes: OrderedDict[int, list[tuple[float, int]]] = OrderedDict()

    def keep(self, index: int, slabs: Sequence[Slab]) -> None:
        """Remember a volume."""
        self._volumes[index] = [(slab.location_mm, _checksum(slab)) for slab in slabs]
        while len(self._volumes) > REMEMBERED:
            self._volumes.popitem(last=False)

    def has(self, index: int, location_mm: float) -> bool:
        """Whether a volume is remembered that had an image at this place."""
        return any(
            same_place(location_mm, known_mm) for known_mm, _ in self._volumes.get(index, ())
        )

    def compare(self, index: int, slab: Slab) -> Held:
        """Say whether a slab of a volume that went out repeats what it was made of."""
        known = self._volumes.get(index)
        if known is None:
            return Held.REPEATED
        here = [sum_ for location_mm, sum_ in known if same_place(location_mm, slab.location_mm)]
        return Held.REPEATED if here == [_checksum(slab)] else Held.DIFFERENT

    def state(self) -> list[Any]:
        """Return all of it, for JSON."""
        return list(self._volumes.items())

    @classmethod
    def restore(cls, state: list[Any]) -> Self:
        """Return a memory that goes on where `state` was taken."""
        memory = cls()
        for index, known in state:
            memory._volumes[index] = [(location_mm, sum_) for location_mm, sum_ in known]
        return memory


def _checksum(slab: Slab) -> int:
    """Return a checksum of a slab's size and voxels, (X, Y, slices)."""
    return zlib.crc32(slab.data.tobytes(), sum(slab.data.shape))
