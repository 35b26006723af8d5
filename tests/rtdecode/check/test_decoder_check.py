"""Checks of the bundle, the provider and the speed."""

from dataclasses import replace

import pytest

from rtdecode import bundle as bundles
from rtdecode.check.decoder_check import check_bundle, check_provider, check_speed, judge_speed
from rtdecode.check.findings import CheckResult
from rtdecode.engine import has_cuda_device


@pytest.mark.parametrize(
    ("slow_ms", "verdict"), [(999, "green"), (1001, "yellow"), (1999, "yellow"), (2000, "red")]
)
def test_speed_is_judged_against_the_repetition_time(slow_ms, verdict):
    """Half of it is yellow, all of it is red; the result contains the numbers."""
    took_ms = [100.0] * 9 + [slow_ms] * 11
    found = judge_speed(took_ms, 2.0, 1.25, "cpu")
    assert found.verdict == verdict
    assert f"{slow_ms} ms at the 95th percentile" in found.found
    assert "2000 ms between volumes" in found.found
    assert bool(found.remedy) == (verdict != "green")
    assert found.figures["warm_up_s"] == 1.25


def test_one_slow_volume_is_reported_and_stays_green():
    """The 95th percentile gives the result."""
    found = judge_speed([100.0] * 39 + [2500.0], 2.0, 1.0, "cpu")
    assert found.verdict is CheckResult.GREEN
    assert "2500 ms at most" in found.found


@pytest.mark.skipif(has_cuda_device(), reason="this machine has a GPU, so cuda may work")
def test_missing_cuda_is_red_and_the_cpu_speed_is_measured(context, capsys):
    """The operator learns whether --provider cpu is fast enough; standard output stays empty."""
    context.plan = replace(context.plan, provider="cuda")
    found = check_provider(context)
    assert found.verdict is CheckResult.RED
    assert "--provider cpu" in found.remedy
    assert "on cpu" in check_speed(context).found
    assert capsys.readouterr().out == ""


def test_the_speed_check_restores_the_state_of_the_decoder(context):
    """The timed volumes are not part of a run."""
    check_provider(context)
    before = context.decoder.state()
    check_speed(context)
    after = context.decoder.state()
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


@pytest.mark.parametrize(
    ("interval", "p_value", "verdict"),
    [
        ((0.6, 0.9), 0.013, "green"),
        ((0.4, 0.9), 0.013, "yellow"),
        ((0.6, 0.9), 0.2, "yellow"),
        ((0.6, 0.9), None, "yellow"),
    ],
)
def test_a_decoder_is_green_only_with_the_verdict_go(
    context, parts, tmp_path, make_metrics, interval, p_value, verdict
):
    """It needs accuracy above chance by the blocks' interval and by permutation."""
    metrics = make_metrics(p_value=p_value)
    metrics = replace(metrics, accuracy=replace(metrics.accuracy, interval_95_block=interval))
    manifest = replace(parts.manifest, metrics=metrics)
    written = bundles.write(
        tmp_path / "fitted", manifest, parts.decoder, parts.space, parts.initial
    )
    context.plan = replace(context.plan, bundle=written.path)
    found = check_bundle(context)
    assert found.verdict == verdict
    assert "81% of 16 held-out blocks" in found.found
    assert "chance 50%" in found.found
