"""Checksums of the volumes that were given out, to tell a repeated image from a different one."""

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Self

from rtdecode.dicom import Slab, SlabStatus, same_place

MAX_VOLUMES = 64
"""An image of an older volume counts as a repeat."""


class Memory:
    """The newest volumes that were given out."""

    def __init__(self) -> None:
        self._volumes: OrderedDict[int, list[tuple[float, int]]] = OrderedDict()

    def add(self, index: int, slabs: Sequence[Slab]) -> None:
        """Add a volume."""
        self._volumes[index] = [(slab.location_mm, _checksum(slab)) for slab in slabs]
        while len(self._volumes) > MAX_VOLUMES:
            self._volumes.popitem(last=False)

    def has(self, index: int, location_mm: float) -> bool:
        """Whether a volume had an image at this place."""
        return any(
            same_place(location_mm, known_mm) for known_mm, _ in self._volumes.get(index, ())
        )

    def compare(self, index: int, slab: Slab) -> SlabStatus:
        """Compare a slab with the volume that was given out: the same image, or a different one."""
        known = self._volumes.get(index)
        if known is None:
            return SlabStatus.REPEATED
        sums = [sum_ for location_mm, sum_ in known if same_place(location_mm, slab.location_mm)]
        return SlabStatus.REPEATED if sums == [_checksum(slab)] else SlabStatus.DIFFERENT

    def state(self) -> list[Any]:
        """Return the state for a restart, as JSON values."""
        return list(self._volumes.items())

    @classmethod
    def restore(cls, state: list[Any]) -> Self:
        """Return a memory that continues from a result of `state`."""
        memory = cls()
        for index, known in state:
            memory._volumes[index] = [(location_mm, sum_) for location_mm, sum_ in known]
        return memory


def _checksum(slab: Slab) -> int:
    """Return a checksum of a slab's size and voxels, (X, Y, slices)."""
    return zlib.crc32(slab.data.tobytes(), sum(slab.data.shape))
