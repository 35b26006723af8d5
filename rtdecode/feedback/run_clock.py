"""The time of the run, from the time stamps of the outcomes."""

import math

from rtdecode.types import Decision
from rtdecode.wire import Numbered


class RunClock:
    """Computes the time since the start of the first volume's acquisition.

    The last byte of a volume arrives after its acquisition, which takes one repetition time, and
    its export. The fastest export until now is assumed to take no time. So the time is late by the
    shortest export time, and never early.

    Parameters
    ----------
    repetition_time_s
        Repetition time of the decoder.
    same_clock
        Whether the service uses this computer's monotonic clock. Otherwise its clock is aligned
        with this one by the fastest message until now.
    """

    def __init__(self, repetition_time_s: float, *, same_clock: bool) -> None:
        self._repetition_time_s = repetition_time_s
        self._offset_ns: int | None = 0 if same_clock else None
        self._start_ns = math.inf

    def take(self, numbered: Numbered, now_ns: int) -> int:
        """Use an outcome; return the time of its publication on this computer's clock."""
        outcome = numbered.outcome
        stamps = outcome.stamps
        if stamps.recorded_ns:
            offset_ns = now_ns - stamps.recorded_ns
            self._offset_ns = (
                offset_ns if self._offset_ns is None else min(self._offset_ns, offset_ns)
            )
        if stamps.received_ns:
            acquired_s = outcome.index * self._repetition_time_s
            if isinstance(outcome, Decision) and math.isfinite(outcome.acquired_s):
                acquired_s = outcome.acquired_s
            end_s = acquired_s + self._repetition_time_s
            start_ns = self.to_local_ns(stamps.received_ns) - end_s * 1e9
            self._start_ns = min(self._start_ns, start_ns)
        return self.to_local_ns(stamps.recorded_ns) if stamps.recorded_ns else now_ns

    def to_local_ns(self, service_ns: int) -> int:
        """Convert a stamp of the service to this computer's clock."""
        return service_ns + (self._offset_ns or 0)

    def run_s(self, now_ns: int) -> float:
        """Return the time of the run, seconds; `nan` before the first volume."""
        return (now_ns - self._start_ns) / 1e9 if math.isfinite(self._start_ns) else math.nan
