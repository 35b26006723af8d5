"""How much longer a calibration may take: the subject is waiting in the bore."""

import math
import threading

from rtdecode.clock import Clock


class Budget:
    """Time that may still be spent on making a decoder better.

    What is needed for any decoder at all is done whatever the budget; steps that only choose,
    compare or improve ask first, and stop in the middle when it is over.

    Parameters
    ----------
    minutes
        From now on; `None`: as long as it takes.
    clock
        What measures them.
    cancelled
        Set when the operator has had enough (Ctrl-C).
    """

    def __init__(
        self, minutes: float | None, clock: Clock, cancelled: threading.Event | None = None
    ) -> None:
        self._clock = clock
        self._cancelled = cancelled or threading.Event()
        self._until_s = math.inf if minutes is None else self._now_s() + 60 * minutes

    @property
    def cancelled(self) -> bool:
        """Whether the operator has had enough."""
        return self._cancelled.is_set()

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when it is over."""
        return 0.0 if self.cancelled else max(0.0, self._until_s - self._now_s())

    @property
    def over(self) -> bool:
        """Whether nothing more should be begun."""
        return self.left_s == 0

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / 1e9
