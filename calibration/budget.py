"""Time limit of a calibration; the subject waits in the scanner."""

import math
import threading

from rtdecode.clock import Clock


class Budget:
    """Time left to choose, compare or improve a decoder.

    The steps that every decoder needs ignore the budget. Steps that only choose, compare or
    improve check it, and stop when it is over.

    Parameters
    ----------
    minutes
        Minutes from now; `None`: no limit.
    clock
        Measures the time.
    cancelled
        Set when the operator cancels (Ctrl-C).
    """

    def __init__(
        self, minutes: float | None, clock: Clock, cancelled: threading.Event | None = None
    ) -> None:
        self._clock = clock
        self._cancelled = cancelled or threading.Event()
        self._end_s = math.inf if minutes is None else self._now_s() + 60 * minutes

    @property
    def cancelled(self) -> bool:
        """Whether the operator has cancelled."""
        return self._cancelled.is_set()

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when the budget is over."""
        return 0.0 if self.cancelled else max(0.0, self._end_s - self._now_s())

    @property
    def over(self) -> bool:
        """Whether no further step may start."""
        return self.left_s == 0

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9
