"""Recorded runs and sessions as test data."""

from pathlib import Path

import pytest

from rtdecode.journal import RecordedRun, Session
from rtdecode.journal.pack import Kind, Record
from rtdecode.types import Decision, Motion, Quality, Skipped, SkipReason, Stamps

SECOND_NS = 1_000_000_000
BOOT_NS = 500 * SECOND_NS


def stamps_of(index: int, tr_s: float, delay_s: float) -> Stamps:
    """Return a live volume's stamps; the run's first volume began at `BOOT_NS`."""
    received = BOOT_NS + int(((index + 1) * tr_s + delay_s) * SECOND_NS)
    steps = [received + n * 1_000_000 for n in range(9)]
    return Stamps(*steps)


@pytest.fixture
def make_decision():
    """Return a function that makes the decision of a volume."""

    def make(index, probabilities=(0.75, 0.25), *, classes=("faces", "places"), **changes):
        tr_s = changes.pop("tr_s", 2.0)
        delay_s = changes.pop("delay_s", 0.5)
        facts = {
            "index": index,
            "probabilities": probabilities,
            "fast": probabilities,
            "label": classes[max(range(len(classes)), key=lambda n: probabilities[n])],
            "window_volumes": 4,
            "motion": Motion(0.1 * index, 0.0, -0.1, 0.001, 0.0, -0.001),
            "quality": Quality(0.1, 0.9, 80.0, 0.001, usable=True),
            "bundle": "feedbeef0123",
            "acquired_s": index * tr_s,
            "stamps": stamps_of(index, tr_s, delay_s),
        }
        return Decision(**{**facts, **changes})

    return make


@pytest.fixture
def make_run(make_decision):
    """Return a function that makes a run of outcomes."""

    def make(outcomes=None, **changes):
        if outcomes is None:
            outcomes = [
                Skipped(0, SkipReason.NOT_READY, "the statistics are still being gathered"),
                Skipped(1, SkipReason.NOT_READY, "the statistics are still being gathered"),
                *(make_decision(n) for n in (2, 3)),
                Skipped(4, SkipReason.GAP),
                *(make_decision(n, (0.2, 0.8)) for n in (5, 6, 7)),
            ]
        facts = {
            "run": 1,
            "start": Record(0, Kind.START, {"run": 1}, 0, 0),
            "bundle": "feedbeef0123",
            "classes": ("faces", "places"),
            "repetition_time_s": 2.0,
            "ended": True,
            "first": 1,
            "outcomes": outcomes,
            "notices": (),
            "tally": None,
        }
        return RecordedRun(**{**facts, **changes})

    return make


@pytest.fixture
def make_session():
    """Return a function that makes a session of runs."""

    def make(*runs, servings=(), events=()):
        return Session("5e55104", Path("objects.pack"), (), runs, servings, events)

    return make
