"""The bundle, where it runs, and how fast."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rtdecode import bundle as bundles
from rtdecode.bundle import Bundle
from rtdecode.check.context import Subject
from rtdecode.check.findings import CheckResult, Finding, green, refused
from rtdecode.engine import has_cuda_device
from rtdecode.errors import ConfigError
from rtdecode.metrics import verdict
from rtdecode.pipeline import Pipeline
from rtdecode.report_kit import count
from rtdecode.types import Identity, Volume

VOLUMES, MAX_S = 40, 10.0
"""So many volumes are timed, or as many as go into so many seconds; at least `MIN_VOLUMES`."""
MIN_VOLUMES = 10
COMFORT = 0.5
"""Of the repetition time: beyond it, what else the computer does may make decisions late."""
BUNDLE, PROVIDER, SPEED = "bundle", "provider", "speed"


def check_bundle(subject: Subject) -> Finding:
    """Load the bundle, which verifies every file of it."""
    subject.loaded = bundles.load(subject.plan.bundle)
    manifest = subject.loaded.manifest
    figures: dict[str, float] = {"classes": len(manifest.classes), "files": len(manifest.files) + 1}
    found = (
        f"{manifest.name} ({subject.loaded.digest}): {len(manifest.classes)} classes, "
        f"{manifest.kind}; {len(manifest.files) + 1} files as they were written"
    )
    if manifest.metrics is None:
        return Finding(
            BUNDLE,
            CheckResult.YELLOW,
            f"{found}. It was not fitted to this person, so nobody knows how well it decodes",
            "calibrate (rtdecode calibrate) where decisions are to be acted upon",
            figures,
        )
    metrics = manifest.metrics
    low, high = metrics.accuracy.interval_95_block
    figures |= {"accuracy_of_blocks": metrics.accuracy.block, "chance": metrics.chance}
    found += (
        f"; {metrics.accuracy.block:.0%} of {metrics.n_blocks} held-out blocks were right (95 % "
        f"{low:.0%} to {high:.0%}), chance {metrics.chance:.0%}"
    )
    outcome = verdict(metrics, manifest.classes).outcome
    if outcome != "go":
        remedy = {
            "no-go": "scan another run and calibrate with it (--from)",
            "not tested": "calibrate again and let the permutation test end",
        }[outcome]
        return Finding(
            BUNDLE,
            CheckResult.YELLOW,
            f"{found}: not established, {outcome} by calibration's rule",
            f"{remedy}, or see the bundle's report.html",
            figures,
        )
    return green(BUNDLE, found, figures)


def check_provider(subject: Subject) -> Finding:
    """Open the decoder where it was asked for, and say where it runs."""
    wanted, threads = subject.plan.provider, subject.plan.settings.threads
    try:
        subject.pipeline = Pipeline(subject.bundle, wanted, threads, subject.clock)
    except ConfigError as error:
        if wanted == "cuda":
            # What the CPU can do is worth knowing then.
            subject.pipeline = Pipeline(subject.bundle, "cpu", threads, subject.clock)
        return refused(PROVIDER, error)
    in_use = subject.pipeline.provider
    many = count(threads, "thread")
    found = f"{in_use}, as asked" if wanted == in_use else f"{in_use} ({wanted} was asked for)"
    if in_use == "cpu":
        found += f", {many}"
    if wanted == "auto" and in_use == "cpu" and has_cuda_device():
        return Finding(
            PROVIDER,
            CheckResult.YELLOW,
            f"{found}: there is a GPU, and onnxruntime cannot use it",
            "pip install 'rtdecode[cuda]' for CUDA's libraries, or --provider cpu if it is fast "
            "enough",
        )
    return green(PROVIDER, found)


def check_speed(subject: Subject) -> Finding:
    """Warm up, then time the whole road from volume to outcome on volumes of the bundle's matrix.

    The volumes are the bundle's reference EPI with noise on it.
    """
    decoder, clock = subject.decoder, subject.clock
    began_ns = clock.monotonic_ns()
    decoder.warm_up()
    warm_up_s = (clock.monotonic_ns() - began_ns) / 1e9
    before = decoder.state()
    took_ms: list[float] = []
    began_ns = clock.monotonic_ns()
    for volume in _volumes(subject.bundle):
        start_ns = clock.monotonic_ns()
        decoder.step(volume)
        now_ns = clock.monotonic_ns()
        took_ms.append((now_ns - start_ns) / 1e6)
        if len(took_ms) >= MIN_VOLUMES and now_ns - began_ns > MAX_S * 1e9:
            break
    decoder.restore(before)
    return judged_speed(took_ms, decoder.repetition_time_s, warm_up_s, decoder.provider)


def judged_speed(
    took_ms: list[float], repetition_time_s: float, warm_up_s: float, provider: str
) -> Finding:
    """Judge how long volumes took against the time there is.

    Parameters
    ----------
    took_ms
        For each volume, from its voxels to its outcome.
    repetition_time_s
        Between two volumes.
    warm_up_s
        How long it took before the first.
    provider
        Where the decoder runs.
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
    remedies = "close what else runs here, give the network more --threads, or use a GPU"
    if p95_ms >= limit_ms:
        return Finding(
            SPEED, CheckResult.RED, f"{found}: decisions would come too late", remedies, figures
        )
    if p95_ms >= COMFORT * limit_ms:
        return Finding(
            SPEED,
            CheckResult.YELLOW,
            f"{found}: little is left for anything else",
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
