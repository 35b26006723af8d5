"""How long each stage takes, kept live: the newest volumes of each, and their percentiles."""

from collections import deque

import numpy as np

from rtdecode.types import STAGES, Stamps
from rtdecode.wire import StageLatency

REMEMBERED = 1000
"""Volumes: ten minutes at 0.6 s."""


class Latencies:
    """The newest durations of each stage."""

    def __init__(self) -> None:
        self._stages: dict[str, deque[float]] = {s: deque(maxlen=REMEMBERED) for s in STAGES}

    def add(self, stamps: Stamps) -> None:
        """Take in a volume that came live; stages that it did not reach are left out."""
        if not stamps.journalled_ns:  # it was read again after a restart, or never came
            return
        for stage, (begin, end) in STAGES.items():
            begun_ns, ended_ns = getattr(stamps, begin), getattr(stamps, end)
            if begun_ns and ended_ns:
                self._stages[stage].append((ended_ns - begun_ns) / 1e6)

    def percentiles(self) -> dict[str, StageLatency]:
        """Return those of each stage that a volume has reached, in the order of the stages."""
        return {
            stage: StageLatency(*(round(float(p), 3) for p in np.percentile(took, (50, 95, 99))))
            for stage, took in self._stages.items()
            if took
        }
