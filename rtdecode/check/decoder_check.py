"""Checks of the bundle, its provider and its speed."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rtdecode import bundle as bundles
from rtdecode.bundle import Bundle
from rtdecode.check.context import CheckContext
from rtdecode.check.findings import CheckResult, Finding, green, red
from rtdecode.engine import has_cuda_device
from rtdecode.errors import ConfigError
from rtdecode.metrics import verdict
from rtdecode.pipeline import Pipeline
from rtdecode.report_kit import count
from rtdecode.types import Identity, Volume

VOLUMES, MAX_S = 40, 10.0
"""The speed check stops after this many volumes, or after this time (seconds) and at least
`MIN_VOLUMES`."""
MIN_VOLUMES = 10
YELLOW_SHARE = 0.5
"""Share of the repetition time; above it, other load on the computer may make decisions late."""
BUNDLE, PROVIDER, SPEED = "bundle", "provider", "speed"


def check_bundle(context: CheckContext) -> Finding:
    """Load the bundle and verify each of its files."""
    context.loaded_bundle = bundles.load(context.plan.bundle)
    manifest = context.loaded_bundle.manifest
    figures: dict[str, float] = {"classes": len(manifest.classes), "files": len(manifest.files) + 1}
    found = (
        f"{manifest.name} ({context.loaded_bundle.digest}): {len(manifest.classes)} classes, "
        f"{manifest.kind}; {len(manifest.files) + 1} files are unchanged"
    )
    if manifest.metrics is None:
        return Finding(
            BUNDLE,
            CheckResult.YELLOW,
            f"{found}. It was not fitted to a person, so its accuracy is not known",
            "calibrate (rtdecode calibrate) before you use its decisions",
            figures,
        )
    metrics = manifest.metrics
    low, high = metrics.accuracy.interval_95_block
    figures |= {"accuracy_of_blocks": metrics.accuracy.block, "chance": metrics.chance}
    found += (
        f"; {metrics.accuracy.block:.0%} of {metrics.n_blocks} held-out blocks were correct (95 % "
        f"{low:.0%} to {high:.0%}), chance {metrics.chance:.0%}"
    )
    outcome = verdict(metrics, manifest.classes).outcome
    if outcome != "go":
        remedy = {
            "no-go": "scan another run and calibrate with it (--from)",
            "not tested": "calibrate again and let the permutation test finish",
        }[outcome]
        return Finding(
            BUNDLE,
            CheckResult.YELLOW,
            f"{found}: the calibration's verdict is {outcome}",
            f"{remedy}, or see the bundle's report.html",
            figures,
        )
    return green(BUNDLE, found, figures)


def check_provider(context: CheckContext) -> Finding:
    """Open the decoder on the requested provider, and report where it runs."""
    wanted, threads = context.plan.provider, context.plan.settings.threads
    try:
        context.pipeline = Pipeline(context.bundle, wanted, threads, context.clock)
    except ConfigError as error:
        if wanted == "cuda":
            # Use the CPU, so that the speed check shows whether the CPU is fast enough.
            context.pipeline = Pipeline(context.bundle, "cpu", threads, context.clock)
        return red(PROVIDER, error)
    in_use = context.pipeline.provider
    found = f"{in_use}, as requested" if wanted == in_use else f"{in_use} (requested: {wanted})"
    if in_use == "cpu":
        found += f", {count(threads, 'thread')}"
    if wanted == "auto" and in_use == "cpu" and has_cuda_device():
        return Finding(
            PROVIDER,
            CheckResult.YELLOW,
            f"{found}: this computer has a GPU, but onnxruntime cannot use it",
            "pip install 'rtdecode[cuda]' for CUDA's libraries, or --provider cpu if it is fast "
            "enough",
        )
    return green(PROVIDER, found)


def check_speed(context: CheckContext) -> Finding:
    """Warm up, then measure the time from volume to outcome.

    The volumes are the bundle's reference EPI with noise.
    """
    decoder, clock = context.decoder, context.clock
    began_ns = clock.monotonic_ns()
    decoder.warm_up()
    warm_up_s = (clock.monotonic_ns() - began_ns) / 1e9
    before = decoder.state()
    took_ms: list[float] = []
    began_ns = clock.monotonic_ns()
    for volume in _volumes(context.bundle):
        start_ns = clock.monotonic_ns()
        decoder.step(volume)
        now_ns = clock.monotonic_ns()
        took_ms.append((now_ns - start_ns) / 1e6)
        if len(took_ms) >= MIN_VOLUMES and now_ns - began_ns > MAX_S * 1e9:
            break
    decoder.restore(before)
    return judge_speed(took_ms, decoder.repetition_time_s, warm_up_s, decoder.provider)


def judge_speed(
    took_ms: list[float], repetition_time_s: float, warm_up_s: float, provider: str
) -> Finding:
    """Compare the decoding times with the repetition time.

    Parameters
    ----------
    took_ms
        Time of each volume from its voxels to its outcome.
    repetition_time_s
        Time between two volumes.
    warm_up_s
        Duration of the warm-up before the first volume.
    provider
        Provider that runs the decoder.
    """
    p50_ms, p95_ms, worst_ms = (float(v) for v in np.percentile(took_ms, (50, 95, 100)))
    limit_ms = 1e3 * repetition_time_s
    figures = {
        "p50_ms": p50_ms,
        "p95_ms": p95_ms,
        "slowest_ms": worst_ms,
        "repetition_time_ms": limit_ms,
        "volumes": len(took_ms),
        "warm_up_s": warm_up_s,
    }
    found = (
        f"{p50_ms:.0f} ms at the median, {p95_ms:.0f} ms at the 95th percentile, {worst_ms:.0f} ms "
        f"at most, of {limit_ms:.0f} ms between volumes ({len(took_ms)} volumes on {provider}, "
        f"after a warm-up of {warm_up_s:.1f} s)"
    )
    remedies = "close other programs, give the network more --threads, or use a GPU"
    if p95_ms >= limit_ms:
        return Finding(
            SPEED, CheckResult.RED, f"{found}: decisions would be late", remedies, figures
        )
    if p95_ms >= YELLOW_SHARE * limit_ms:
        return Finding(
            SPEED,
            CheckResult.YELLOW,
            f"{found}: little time is left for other programs",
            remedies,
            figures,
        )
    return green(SPEED, found, figures)


def _volumes(bundle: Bundle) -> Iterator[Volume]:
    reference = np.asarray(bundle.space.reference, dtype=np.float32)
    rng = np.random.default_rng(0)
    noise = 0.01 * float(np.percentile(reference, 98))
    repetition_s = bundle.manifest.repetition_time_s
    blank = Volume(
        index=0,
        data=reference.reshape(bundle.manifest.source_shape),
        affine=bundle.space.reference_affine,
        acquired_s=0.0,
        repetition_time_s=repetition_s,
        identity=Identity(series="", series_number=0, acquisition=0),
    )
    for index in range(VOLUMES):
        drawn = rng.standard_normal(blank.data.shape, dtype=np.float32)
        yield replace(
            blank, index=index, data=blank.data + noise * drawn, acquired_s=index * repetition_s
        )
