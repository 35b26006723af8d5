"""One volume in, exactly one outcome out."""

from dataclasses import replace

import numpy as np
import pytest

from rtdecode.errors import BundleError, VolumeError
from rtdecode.pipeline import Pipeline, decide
from rtdecode.types import Decision, Skipped, SkipReason, Stamps


def _timeless(outcome) -> str:
    return repr(replace(outcome, stamps=Stamps()))


def test_not_ready_then_decisions(bundle, scan) -> None:
    """A run begins with volumes that are not ready, measured all the same, and then decides."""
    pipeline = Pipeline(bundle)
    outcomes = [pipeline.step(scan(index)) for index in range(8)]
    for outcome in outcomes[:4]:
        assert isinstance(outcome, Skipped)
        assert outcome.reason is SkipReason.NOT_READY
        assert outcome.motion is not None
        assert outcome.quality.why == ("not_ready",)
        assert outcome.stamps.decided_ns > 0
    assert all(isinstance(outcome, Decision) for outcome in outcomes[4:])
    assert [outcome.index for outcome in outcomes] == list(range(8))


def test_without_a_usable_volume_of_late_there_is_no_decision(either, scan) -> None:
    """While window or dwell time hold a good volume there are decisions; else the reason why."""
    pipeline = Pipeline(either)
    for index in range(8):
        pipeline.step(scan(index))
    outcomes = [pipeline.step(scan(index, gain=0.7)) for index in range(8, 12)]
    assert [outcome.quality.usable for outcome in outcomes] == [False] * 4
    assert [outcome.window_volumes for outcome in outcomes[:2]] == [2, 1]
    for outcome in outcomes[2:]:
        assert isinstance(outcome, Skipped)
        assert outcome.reason is SkipReason.NO_EVIDENCE
        assert "signal_drop" in outcome.detail
        span = "the window" if either.manifest.dwell_s is None else "the last 6 s"
        assert outcome.detail.startswith(f"no usable volume in {span} (")
        assert outcome.quality.signal_drop == pytest.approx(0.3, abs=0.1)


def test_head_that_jumped_is_no_evidence(bundle, scan) -> None:
    """A volume after a jump of the head decides from the volumes before it alone."""
    pipeline = Pipeline(bundle)
    for index in range(8):
        pipeline.step(scan(index))
    outcome = pipeline.step(scan(8, shift_mm=3.0))
    assert isinstance(outcome, Decision)
    assert outcome.window_volumes == 2
    assert outcome.quality.why == ("motion",)
    assert outcome.motion.trans_y == pytest.approx(3.0, abs=0.3)


def test_wrong_matrix_is_skipped_with_both(bundle, scan) -> None:
    """The operator reads what arrived and what the bundle wants; the next volume goes on."""
    pipeline = Pipeline(bundle)
    volume = replace(scan(0), stamps=Stamps(received_ns=7))
    outcome = pipeline.step(replace(volume, data=volume.data[:-2]))
    assert isinstance(outcome, Skipped)
    assert (outcome.index, outcome.reason) == (0, SkipReason.WRONG_SERIES)
    assert "22x24x14" in outcome.detail
    assert "24x24x14" in outcome.detail
    assert outcome.motion is outcome.quality is None
    assert outcome.stamps.received_ns == 7
    assert outcome.stamps.decided_ns > 0
    assert pipeline.step(scan(1)).reason is SkipReason.NOT_READY


def test_wrong_repetition_time_is_skipped_with_both(bundle, scan) -> None:
    """The operator reads both repetition times."""
    outcome = Pipeline(bundle).step(replace(scan(0), repetition_time_s=0.72))
    assert isinstance(outcome, Skipped)
    assert outcome.reason is SkipReason.WRONG_SERIES
    assert "0.72 s" in outcome.detail
    assert "2 s" in outcome.detail


def test_wrong_voxel_size_is_skipped_with_both(bundle, scan) -> None:
    """The same matrix over another field of view is another protocol."""
    volume = scan(0)
    wider = volume.affine @ np.diag([1.0, 1.0, 1.25, 1.0])
    outcome = Pipeline(bundle).step(replace(volume, affine=wider))
    assert isinstance(outcome, Skipped)
    assert outcome.reason is SkipReason.WRONG_SERIES
    assert "7x7x10 mm, the bundle's 7x7x8 mm" in outcome.detail


@pytest.mark.parametrize("reason", list(SkipReason))
def test_skipped_item_passes_through(bundle, reason) -> None:
    """What has no volume comes out as it went in, and changes nothing."""
    pipeline = Pipeline(bundle)
    before = pipeline.state()
    item = Skipped(3, reason, "as the ledger said", stamps=Stamps(received_ns=5))
    assert pipeline.step(item) is item
    after = pipeline.state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


def test_skipped_volume_is_a_gap_for_the_next(either, scan) -> None:
    """The window, or the filter's time, moves on over a volume that was skipped."""
    pipeline = Pipeline(either)
    for index in range(8):
        pipeline.step(scan(index))
    pipeline.step(Skipped(8, SkipReason.GAP))
    assert pipeline.step(scan(9)).window_volumes == 2


def test_run_continues_from_its_state(either, scan) -> None:
    """After a crash another pipeline gives the same outcomes, warmed up or not."""
    whole, first, second = (Pipeline(either) for _ in range(3))
    expected = [_timeless(whole.step(scan(index))) for index in range(10)]
    found = [_timeless(first.step(scan(index))) for index in range(6)]
    second.warm_up()
    second.restore(first.state())
    found += [_timeless(second.step(scan(index))) for index in range(6, 10)]
    assert found == expected


def test_pipeline_says_what_it_runs(bundle) -> None:
    """Digest, classes, repetition time and provider are the bundle's and the engine's."""
    pipeline = Pipeline(bundle)
    assert pipeline.bundle_digest == bundle.digest
    assert pipeline.classes == ("face", "house")
    assert pipeline.repetition_time_s == 2.0
    assert pipeline.provider == "cpu"


def test_bundle_that_cannot_run_is_refused_at_the_start(bundle, graph) -> None:
    """A decoder that lacks an input is found before the first volume."""
    decoder = graph(int(bundle.space.mask.sum()), without="usable")
    with pytest.raises(BundleError, match="usable"):
        Pipeline(replace(bundle, decoder=decoder))


def test_decoder_that_refuses_a_volume_skips_it(scan) -> None:
    """A decoder other than the pipeline may refuse a volume; the volume is skipped as corrupt."""

    class Refusing:
        def step(self, item):
            raise VolumeError(f"volume {item.index} is unusable")

    volume = replace(scan(3), stamps=Stamps(received_ns=7))
    outcome = decide(Refusing(), volume, 0, paused=False)
    detail = "volume 3 is unusable"
    assert outcome == Skipped(3, SkipReason.CORRUPT, detail, stamps=volume.stamps)
