"""A tiny plan, and outcomes made by hand."""

from collections.abc import Callable

import pytest

from calibration.demo.feedback_report import DemoPlan
from rtdecode.events import Block
from rtdecode.types import Decision, Motion, Outcome, Quality, Skipped, SkipReason, Stamps

STEPS_NS = (2, 5, 9, 10, 12, 13, 20, 21)


def _stamps(start_ms: int) -> Stamps:
    ends = ((start_ms + step) * 1_000_000 for step in STEPS_NS)
    return Stamps(start_ms * 1_000_000, *ends)


@pytest.fixture
def plan() -> DemoPlan:
    """Return two rounds of two states: blocks of 6 s, rest of 4 s, a lag of 2 s."""
    order = ("faces", "places", "places", "faces")
    blocks = tuple(Block(name, 4.0 + 10 * n, 10.0 + 10 * n) for n, name in enumerate(order))
    return DemoPlan(("faces", "places"), blocks, volumes=44, repetition_time_s=1.0, lag_s=2.0)


@pytest.fixture
def decide() -> Callable[[int, str], Decision]:
    """Return a function that makes the decision of a volume."""

    def make(index: int, label: str, probability: float = 0.8) -> Decision:
        likely = (probability, 1 - probability)
        return Decision(
            index=index,
            probabilities=likely if label == "faces" else likely[::-1],
            fast=likely,
            label=label,
            window_volumes=4,
            motion=Motion(),
            quality=Quality(0.1, 1.0, 50.0, 0.0, usable=True),
            bundle="0" * 12,
            acquired_s=float(index),
            stamps=_stamps(1000 * index),
        )

    return make


@pytest.fixture
def outcomes(plan: DemoPlan, decide: Callable[[int, str], Decision]) -> list[Outcome]:
    """Return a run that takes everything for faces, its first two volumes not ready."""
    start: list[Outcome] = [Skipped(index, SkipReason.NOT_READY) for index in range(2)]
    return start + [decide(index, "faces") for index in range(2, plan.volumes)]
