"""What the demo's feedback run was worth, in figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from rtdecode.events import Block
from rtdecode.metrics import Metrics
from rtdecode.types import STAGES, Decision, Outcome, Skipped, Stamps

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What is shown when in a run, and for how long."""

    classes: tuple[str, ...]
    blocks: tuple[Block, ...]
    volumes: int
    repetition_time_s: float
    lag_s: float
    """The blood's answer to a block is expected so much later than the block."""

    def of_block(self, block: Block) -> range:
        """Return the volumes that a block is expected to show in."""
        first, last = (
            int(np.ceil((at_s + self.lag_s) / self.repetition_time_s - 1e-9))
            for at_s in (block.onset_s, block.end_s)
        )
        return range(min(first, self.volumes), min(last, self.volumes))


@dataclass(frozen=True, slots=True)
class BlockResult:
    """What was decided about a block: at its last volume, when its whole window lies inside."""

    truth: str
    decided: str
    """Empty where that volume had no decision, which counts as wrong."""
    probability: float

    @property
    def right(self) -> bool:
        """Whether it was what was shown."""
        return self.decided == self.truth


@dataclass(frozen=True, slots=True)
class Score:
    """How many decisions were right."""

    blocks: int
    blocks_right: int
    block_accuracy: float
    interval_95_block: tuple[float, float]
    """Wilson score interval."""
    volumes: int
    """In blocks; all of them, also those whose window reaches back before the block."""
    volume_accuracy: float
    chance: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds: p50, p95, p99."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class FeedbackRun:
    """The feedback run."""

    score: Score
    received: int
    decided: int
    skipped: dict[str, int]
    """Volumes without a decision, by reason."""
    total: Latency
    """From a volume's last byte read to its outcome durable; publishing follows."""
    stages: dict[str, Latency]


@dataclass(frozen=True, slots=True)
class Report:
    """All that the demo found."""

    seed: int
    simulated: bool
    """Always: no figure here says anything about real people."""
    weights: str
    """Name of the pretrained network."""
    calibration: Metrics
    registration_overlap: float
    feedback: FeedbackRun
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of each step."""
    folder: str = ""
    """Where the files are, if they were kept."""


def verdicts(plan: DemoPlan, outcomes: Sequence[Outcome]) -> list[BlockResult]:
    """Return what was decided about every block that is over."""
    found = []
    for block in plan.blocks:
        inside = plan.of_block(block)
        if not inside or inside[-1] >= len(outcomes):
            break
        last = outcomes[inside[-1]]
        if isinstance(last, Decision):
            found.append(BlockResult(block.trial_type, last.label, max(last.probabilities)))
        else:
            found.append(BlockResult(block.trial_type, "", 0.0))
    return found


def score(plan: DemoPlan, outcomes: Sequence[Outcome]) -> Score:
    """Compare a run's outcomes, in order from its first volume, with what was shown."""
    judged = verdicts(plan, outcomes)
    right = sum(verdict.right for verdict in judged)
    interval = binomtest(right, len(judged)).proportion_ci(method="wilson")
    shown = [
        (outcomes[index], block.trial_type)
        for block in plan.blocks
        for index in plan.of_block(block)
        if index < len(outcomes)
    ]
    volumes_right = [isinstance(o, Decision) and o.label == truth for o, truth in shown]
    return Score(
        blocks=len(judged),
        blocks_right=right,
        block_accuracy=right / len(judged),
        interval_95_block=(float(interval.low), float(interval.high)),
        volumes=len(shown),
        volume_accuracy=float(np.mean(volumes_right)),
        chance=1 / len(plan.classes),
    )


def feedback(plan: DemoPlan, outcomes: Sequence[Outcome]) -> FeedbackRun:
    """Sum up a run."""
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


def latency(stamps: Sequence[Stamps], start: str, end: str) -> Latency:
    """Return percentiles of the time between two stamps."""
    passed_ms = [(getattr(s, end) - getattr(s, start)) / 1e6 for s in stamps]
    p50, p95, p99 = (float(p) for p in np.percentile(passed_ms or [np.nan], PERCENTILES))
    return Latency(p50, p95, p99)
