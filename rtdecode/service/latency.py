"""Percentiles of the duration of each stage over the newest volumes."""

from collections import deque

import numpy as np

from rtdecode.types import STAGES, Stamps
from rtdecode.wire import StageLatency

MAX_VOLUMES = 1000
"""Ten minutes with a repetition time of 0.6 s."""


class Latencies:
    """The newest durations of each stage."""

    def __init__(self) -> None:
        self._stages: dict[str, deque[float]] = {s: deque(maxlen=MAX_VOLUMES) for s in STAGES}

    def add(self, stamps: Stamps) -> None:
        """Add a volume's durations; stages that it did not reach are left out."""
        if not stamps.journalled_ns:  # read again after a restart, or missing
            return
        for stage, (begin, end) in STAGES.items():
            start_ns, end_ns = getattr(stamps, begin), getattr(stamps, end)
            if start_ns and end_ns:
                self._stages[stage].append((end_ns - start_ns) / 1e6)

    def percentiles(self) -> dict[str, StageLatency]:
        """Return the percentiles of each stage that a volume has reached, in order."""
        return {
            stage: StageLatency(*(round(float(p), 3) for p in np.percentile(values, (50, 95, 99))))
            for stage, values in self._stages.items()
            if values
        }
