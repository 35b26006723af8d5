"""The live percentiles of each stage."""

import numpy as np
import pytest

from rtdecode.service.latency import MAX_VOLUMES, STAGES, Latencies
from rtdecode.types import Stamps

MS = 1_000_000


def stamps(scale: int = 1) -> Stamps:
    """Return the stamps of a volume whose stages took 1, 2, ... 8 ms, times `scale`."""
    ends = np.cumsum(np.arange(9)) * scale * MS + MS
    return Stamps(*map(int, ends))


def test_each_stage_lies_between_its_stamps() -> None:
    """One volume's durations are its percentiles, and the stages make up the whole."""
    latencies = Latencies()
    latencies.add(stamps())
    found = {stage: took.p50_ms for stage, took in latencies.percentiles().items()}
    assert list(found) == list(STAGES)
    assert list(found.values()) == [1, 2, 3, 4, 5, 6, 7, 8, 36]


def test_the_newest_volumes_count_and_no_more() -> None:
    """Memory is bounded, and what was slow long ago is forgotten."""
    latencies = Latencies()
    for _ in range(MAX_VOLUMES):
        latencies.add(stamps(1000))
    for scale in range(MAX_VOLUMES):
        latencies.add(stamps(scale))
    total = latencies.percentiles()["total"]
    expected = np.percentile(np.arange(MAX_VOLUMES) * 36, (50, 95, 99))
    assert (total.p50_ms, total.p95_ms, total.p99_ms) == pytest.approx(tuple(expected))


def test_volumes_that_did_not_come_live_or_not_all_the_way_are_left_out() -> None:
    """A gap has no stages; a refused volume has those that it reached."""
    latencies = Latencies()
    latencies.add(Stamps())
    latencies.add(Stamps(received_ns=1, recorded_ns=5))
    assert latencies.percentiles() == {}
    latencies.add(Stamps(received_ns=MS, journalled_ns=3 * MS, parsed_ns=4 * MS))
    assert list(latencies.percentiles()) == ["journal", "parse"]
