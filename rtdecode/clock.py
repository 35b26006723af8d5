"""Time as an argument, so that nothing has to wait in a test."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the present comes from."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...

    def sleep_until(self, monotonic_ns: int) -> None:
        """Return once `monotonic_ns()` has reached the given instant."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        return time.monotonic_ns()

    def sleep_until(self, monotonic_ns: int) -> None:
        """Return once `monotonic_ns()` has reached the given instant."""
        while (left_ns := monotonic_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)
