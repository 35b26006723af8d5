"""A tiny plan, outcomes made by hand, and recordings on a small grid."""

from collections.abc import Callable

import numpy as np
import pytest

from calibration.dataset import label_volumes
from calibration.demo.group import Recording
from calibration.demo.report import Plan
from calibration.events import Block, parse_classes
from rtdecode.types import Decision, Motion, Outcome, Quality, Skipped, SkipReason, Stamps

STEPS_NS = (2, 5, 9, 10, 12, 13, 20, 21)


def _stamps(start_ms: int) -> Stamps:
    ends = ((start_ms + step) * 1_000_000 for step in STEPS_NS)
    return Stamps(start_ms * 1_000_000, *ends)


@pytest.fixture
def plan() -> Plan:
    """Return two rounds of two states: blocks of 6 s, rest of 4 s, a lag of 2 s."""
    order = ("faces", "places", "places", "faces")
    blocks = tuple(Block(name, 4.0 + 10 * n, 10.0 + 10 * n) for n, name in enumerate(order))
    return Plan(("faces", "places"), blocks, volumes=44, repetition_time_s=1.0, lag_s=2.0)


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
def outcomes(plan: Plan, decide: Callable[[int, str], Decision]) -> list[Outcome]:
    """Return a run that takes everything for faces, its first two volumes not ready."""
    start: list[Outcome] = [Skipped(index, SkipReason.NOT_READY) for index in range(2)]
    return start + [decide(index, "faces") for index in range(2, plan.volumes)]


@pytest.fixture
def small_mask() -> np.ndarray:
    """Return a mask on a grid of 12 x 10 x 4."""
    mask = np.zeros((12, 10, 4), dtype=bool)
    mask[2:10, 2:8, 1:3] = True
    return mask


@pytest.fixture
def record(small_mask: np.ndarray, rng: np.random.Generator) -> Callable[[], Recording]:
    """Return a function that records a person in whom two states light up two places."""

    def make() -> Recording:
        blocks = tuple(Block(("faces", "places")[n % 2], 10.0 * n, 10.0 * n + 6) for n in range(6))
        spec = parse_classes(None, ["faces", "places"])
        labels = label_volumes([blocks], [np.arange(60.0)], spec, 2.0)
        data = rng.standard_normal((60, int(small_mask.sum()))).astype(np.float32)
        data[labels.label == 0, :30] += 1.5
        data[labels.label == 1, 30:60] += 1.5
        return Recording(data, labels)

    return make
