"""The interface of every source."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object, unchanged."""

    name: str
    """For messages to the operator; never used as a path."""
    content: bytes
    received_ns: int
    """Time at which its last byte was read, monotonic nanoseconds."""
    given_up: int | None = None
    """Only in a recording, in place of an object: the index that was given up at this point."""
    paused: bool | None = None
    """Only in a recording, in place of an object: the run was paused (True) or resumed (False)."""


class Source(Protocol):
    """A source of objects.

    The service's main thread opens (`with`) and closes it, and may bind sockets. In between, one
    other thread calls `batches` and `acknowledge`.
    """

    @property
    def endpoint(self) -> str | None:
        """The address that receives objects, with its port; `None` if the source fetches them."""
        ...

    @property
    def behind(self) -> bool:
        """Whether earlier objects are still being read: no deadline passes meanwhile."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield objects in batches, until the source ends or `stop` is set."""
        ...

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Accept the receipts of the last batch, which is durable: `journalled` or `duplicate`."""
        ...
