"""Performance of the demo's feedback run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from rtdecode.events import Block
from rtdecode.metrics import Metrics
from rtdecode.types import STAGES, Decision, Outcome, Skipped, Stamps
from rtdecode.wire import StageLatency

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """The blocks of a run and its length."""

    classes: tuple[str, ...]
    blocks: tuple[Block, ...]
    volumes: int
    repetition_time_s: float
    lag_s: float
    """Haemodynamic lag, seconds."""

    def block_volumes(self, block: Block) -> range:
        """Return the volumes in which the response to a block is expected."""
        first, last = (
            int(np.ceil((at_s + self.lag_s) / self.repetition_time_s - 1e-9))
            for at_s in (block.onset_s, block.end_s)
        )
        return range(min(first, self.volumes), min(last, self.volumes))


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The decision on a block at its last volume, whose window lies inside the block."""

    truth: str
    decided: str
    """The decided class; empty if that volume has no decision, which counts as wrong."""
    probability: float

    @property
    def right(self) -> bool:
        """Whether the decision is correct."""
        return self.decided == self.truth


@dataclass(frozen=True, slots=True)
class Score:
    """Counts and shares of correct decisions."""

    blocks: int
    blocks_right: int
    block_accuracy: float
    interval_95_block: tuple[float, float]
    """Wilson score interval."""
    volumes: int
    """Volumes in blocks, also those whose window starts before the block."""
    volume_accuracy: float
    chance: float


@dataclass(frozen=True, slots=True)
class FeedbackRun:
    """The feedback run."""

    score: Score
    received: int
    decided: int
    skipped: dict[str, int]
    """Volumes without a decision, by reason."""
    total: StageLatency
    """From the reading of a volume's last byte until its outcome is durable, before publishing."""
    stages: dict[str, StageLatency]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of the demo."""

    seed: int
    simulated: bool
    """Always true: the figures do not apply to real people."""
    weights: str
    """Name of the pretrained network."""
    others: int
    """Number of other people in the study."""
    calibration: Metrics
    registration_overlap: float
    feedback: FeedbackRun
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each step."""
    folder: str = ""
    """Folder of the files; empty if they were deleted."""


def block_results(plan: DemoPlan, outcomes: Sequence[Outcome]) -> list[BlockResult]:
    """Return the decision on each finished block."""
    results = []
    for block in plan.blocks:
        inside = plan.block_volumes(block)
        if not inside or inside[-1] >= len(outcomes):
            break
        last = outcomes[inside[-1]]
        if isinstance(last, Decision):
            results.append(BlockResult(block.trial_type, last.label, max(last.probabilities)))
        else:
            results.append(BlockResult(block.trial_type, "", 0.0))
    return results


def score(plan: DemoPlan, outcomes: Sequence[Outcome]) -> Score:
    """Compare a run's outcomes, in order from its first volume, with the true states."""
    results = block_results(plan, outcomes)
    right = sum(result.right for result in results)
    interval = binomtest(right, len(results)).proportion_ci(method="wilson")
    pairs = [
        (outcomes[index], block.trial_type)
        for block in plan.blocks
        for index in plan.block_volumes(block)
        if index < len(outcomes)
    ]
    volumes_right = [isinstance(o, Decision) and o.label == truth for o, truth in pairs]
    return Score(
        blocks=len(results),
        blocks_right=right,
        block_accuracy=right / len(results),
        interval_95_block=(float(interval.low), float(interval.high)),
        volumes=len(pairs),
        volume_accuracy=float(np.mean(volumes_right)),
        chance=1 / len(plan.classes),
    )


def feedback(plan: DemoPlan, outcomes: Sequence[Outcome]) -> FeedbackRun:
    """Summarise a run."""
    decided = [outcome for outcome in outcomes if isinstance(outcome, Decision)]
    skipped = Counter(str(o.reason) for o in outcomes if isinstance(o, Skipped))
    stamps = [outcome.stamps for outcome in decided]
    stages = {name: latency(stamps, *between) for name, between in STAGES.items()}
    return FeedbackRun(
        score=score(plan, outcomes),
        received=len(outcomes),
        decided=len(decided),
        skipped=dict(sorted(skipped.items())),
        total=stages.pop("total"),
        stages=stages,
    )


def latency(stamps: Sequence[Stamps], start: str, end: str) -> StageLatency:
    """Return percentiles of the time between two stamps."""
    durations_ms = [(getattr(s, end) - getattr(s, start)) / 1e6 for s in stamps]
    p50, p95, p99 = (float(p) for p in np.percentile(durations_ms or [np.nan], PERCENTILES))
    return StageLatency(p50, p95, p99)
