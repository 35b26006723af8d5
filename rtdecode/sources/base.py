"""What every source does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object, as it came."""

    name: str
    """For messages to the operator; never used as a path."""
    content: bytes
    received_ns: int
    """When its last byte was read, in monotonic nanoseconds."""
    given_up: int | None = None
    """Only in a recording: no object, but a volume's index that was given up at this point."""
    paused: bool | None = None
    """Only in a recording: no object, but the run was paused at this point, or (False) resumed."""


class Source(Protocol):
    """Somewhere objects come from.

    Opened (`with`) and closed by the service's main thread, which may bind sockets there; `batches`
    and `acknowledge` are called by one other thread in between.
    """

    @property
    def endpoint(self) -> str | None:
        """Where objects are sent to, the port resolved; `None` where they are looked for."""
        ...

    @property
    def behind(self) -> bool:
        """Whether objects that came earlier are still being read: no deadline is judged then."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield what arrived together, until there is no more or `stop` is set."""
        ...

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Take note that the batch last yielded is durable: a receipt for each arrival."""
        ...
