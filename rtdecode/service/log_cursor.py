"""The position in a session's log up to which its records have taken effect."""

from collections.abc import Iterator
from typing import Any

from rtdecode.journal import Journal
from rtdecode.journal.pack import Kind, Record


class LogCursor:
    """Reads a log from a position on, and appends events at the position where they take effect."""

    def __init__(self, journal: Journal) -> None:
        self.position = 0
        """The number of the first record that has not taken effect."""
        self._journal = journal
        self._started: set[int] = set()
        """Starts of runs after `position`. Each took effect together with an earlier record."""

    def move_to(self, position: int) -> None:
        """Continue from a position, and skip the starts that took effect earlier."""
        self.position = position
        while self.position in self._started:
            self.position += 1

    def remaining(self) -> Iterator[tuple[Record, bytes]]:
        """Yield the records from the position on, with their bodies.

        Records that are appended meanwhile have taken effect and are not yielded.
        """
        records = self._journal.records
        for number in range(self.position, len(records)):
            record = records[number]
            yield record, self._journal.body(record) if record.kind is Kind.OBJECT else b""

    def append(self, kind: Kind, header: dict[str, Any]) -> Record | None:
        """Append an event; `None` while earlier records wait to take effect."""
        return self._journal.append_event(kind, header, self.position)

    def append_start(self, header: dict[str, Any], first: Record | None) -> Record | None:
        """Append the start of a run; `None` while earlier records wait to take effect.

        Parameters
        ----------
        header
            The header of the start.
        first
            The run's first object, where the run starts with an object of the log.
        """
        if first is None:
            start = self.append(Kind.START, header)
        else:
            start = self._journal.append_start(header, first.number)
        if start is not None:
            self._started.add(start.number)
            self.move_to(self.position)
        return start
