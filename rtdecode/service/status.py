"""The status of a service, its outcomes so far, and the summary at its end."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from rtdecode.journal import Journal
from rtdecode.pipeline import Decoder
from rtdecode.service.runner import Runner
from rtdecode.service.settings import ExitSummary
from rtdecode.wire import (
    SNAPSHOT_LIMIT,
    Numbered,
    Snapshot,
    StageLatency,
    Status,
    deterministic,
    to_message,
)


def snapshot(
    journal: Journal, runner: Runner, since: int | None, for_clients: Callable[[Numbered], Numbered]
) -> Snapshot:
    """Return the outcomes after a sequence number, by default from the newest run's first on.

    `for_clients` returns an outcome as clients get it.
    """
    if since is None:
        since = journal.sequence_before(runner.run.number)
    outcomes = journal.outcomes(since, SNAPSHOT_LIMIT)
    return Snapshot(
        session=journal.session,
        run=runner.run.number,
        state=runner.run.state,
        last=runner.outcomes.sequence,
        outcomes=tuple(to_message(for_clients(numbered)) for numbered in outcomes),
    )


def status(
    session: str,
    runner: Runner,
    decoder: Decoder,
    *,
    provider: str,
    subscribers: int,
    latency: dict[str, StageLatency],
) -> Status:
    """Return the status of the newest run."""
    return Status(
        session=session,
        run=runner.run.number,
        state=runner.run.state,
        sequence=runner.outcomes.sequence,
        decisions=runner.outcomes.decisions,
        skipped=runner.outcomes.skipped,
        **asdict(runner.objects.tally),
        late=runner.outcomes.late,
        classes=decoder.classes,
        bundle=decoder.bundle_digest,
        repetition_time_s=decoder.repetition_time_s,
        provider=provider,
        subscribers=subscribers,
        detail=runner.objects.detail,
        latency=latency,
    )


def summary(journal: Journal, runner: Runner, fault: str) -> ExitSummary:
    """Return the summary of the newest run; `fault` is the error that stopped it, or empty."""
    digest = hashlib.sha256()
    since = journal.sequence_before(runner.run.number)
    while outcomes := journal.outcomes(since, SNAPSHOT_LIMIT):  # in parts, to bound the memory
        for numbered in outcomes:
            digest.update(deterministic(numbered.outcome))
        since = outcomes[-1].sequence
    latencies_ms = runner.outcomes.latencies_ms
    p50, p95 = np.percentile(latencies_ms, (50, 95)) if latencies_ms else (math.nan, math.nan)
    return ExitSummary(
        exit_code=1 if fault else 0,
        session=journal.folder,
        run=runner.run.number,
        state=runner.run.state,
        **asdict(runner.objects.tally),
        decisions=runner.outcomes.decisions,
        skipped=runner.outcomes.skipped,
        late=runner.outcomes.late,
        latency_p50_ms=float(p50),
        latency_p95_ms=float(p95),
        outcomes_sha256=digest.hexdigest(),
        fault=fault,
    )
