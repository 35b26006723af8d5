"""The run's time, from what the outcomes say of their volumes."""

import math

from rtdecode.types import Decision
from rtdecode.wire import Numbered


class RunClock:
    """Tells the time since the start of the first volume's acquisition.

    A volume's last byte comes when it has been acquired, one repetition time after its start, and
    has been exported; the fastest export so far is taken to be immediate. So the time is late by
    what the scanner always needs for its export, and never early.

    Parameters
    ----------
    repetition_time_s
        The decoder's.
    same_clock
        Whether the service's monotonic clock is this machine's. Another machine's is set to this
        one's by the fastest message so far.
    """

    def __init__(self, repetition_time_s: float, *, same_clock: bool) -> None:
        self._repetition_time_s = repetition_time_s
        self._ahead_ns: int | None = 0 if same_clock else None
        self._began_ns = math.inf

    def take(self, numbered: Numbered, now_ns: int) -> int:
        """Learn from an outcome; return when it was published, on this machine's clock."""
        outcome = numbered.outcome
        stamps = outcome.stamps
        if stamps.recorded_ns:
            ahead_ns = now_ns - stamps.recorded_ns
            self._ahead_ns = ahead_ns if self._ahead_ns is None else min(self._ahead_ns, ahead_ns)
        if stamps.received_ns:
            acquired_s = outcome.index * self._repetition_time_s
            if isinstance(outcome, Decision) and math.isfinite(outcome.acquired_s):
                acquired_s = outcome.acquired_s
            before_s = acquired_s + self._repetition_time_s
            began_ns = self.here_ns(stamps.received_ns) - before_s * 1e9
            self._began_ns = min(self._began_ns, began_ns)
        return self.here_ns(stamps.recorded_ns) if stamps.recorded_ns else now_ns

    def here_ns(self, service_ns: int) -> int:
        """Return one of the service's stamps on this machine's clock."""
        return service_ns + (self._ahead_ns or 0)

    def run_s(self, now_ns: int) -> float:
        """Return the time of the run; not a number before the first volume."""
        return (now_ns - self._began_ns) / 1e9 if math.isfinite(self._began_ns) else math.nan
