"""Outcomes and statuses as a service gives them."""

import pytest

from rtdecode.dashboard.service_connection import ServiceView
from rtdecode.types import Decision, Motion, Quality, Skipped, SkipReason, Stamps
from rtdecode.wire import StageLatency, Status

CLASSES = ("faces", "right_hand")
SECOND_NS = 1_000_000_000


@pytest.fixture
def make_decision():
    """Return a function that makes a volume's decision."""

    def make(index, share=0.75, **changes):
        fields = {
            "index": index,
            "probabilities": (share, 1 - share),
            "fast": (share, 1 - share),
            "label": CLASSES[int(share < 0.5)],
            "window_volumes": 4,
            "motion": Motion(trans_x=0.25, rot_z=0.01),
            "quality": Quality(0.3, 1.5, 80.0, 0.0, usable=True),
            "bundle": "feedbeef0123",
            "acquired_s": 2.0 * index,
            "stamps": Stamps(received_ns=SECOND_NS, recorded_ns=SECOND_NS + SECOND_NS // 10),
        }
        return Decision(**{**fields, **changes})

    return make


@pytest.fixture
def make_skipped():
    """Return a function that makes a skipped volume."""

    def make(index, reason=SkipReason.NOT_READY, detail=""):
        return Skipped(index, reason, detail)

    return make


@pytest.fixture
def make_status():
    """Return a function that makes a status."""

    def make(**changes):
        fields = {
            "session": "5e5510",
            "run": 1,
            "state": "running",
            "sequence": 3,
            "decisions": 2,
            "skipped": 1,
            "objects": 3,
            "unreadable": 0,
            "classes": CLASSES,
            "bundle": "feedbeef0123",
            "repetition_time_s": 2.0,
            "latency": {"decode": StageLatency(90.0, 110.0, 120.0)},
        }
        return Status(**{**fields, **changes})

    return make


@pytest.fixture
def make_view(make_status):
    """Return a function that makes what is known of a run."""

    def make(outcomes=(), **changes):
        fields = {
            "session": "5e5510",
            "run": 1,
            "status": make_status(),
            "outcomes": tuple(outcomes),
            "sequence": len(outcomes),
            "arrived_ns": 10 * SECOND_NS,
            "heard_ns": 10 * SECOND_NS,
        }
        return ServiceView(**{**fields, **changes})

    return make
