"""Volume in, exactly one outcome out; no input or output of its own."""

from dataclasses import replace

from rtdecode.bundle import Bundle
from rtdecode.clock import Clock, SystemClock
from rtdecode.engine import Engine, Provider
from rtdecode.errors import VolumeError
from rtdecode.ledger import Expected, voxel_mm
from rtdecode.types import Decision, Outcome, Skipped, SkipReason, State, Volume


class Pipeline:
    """The road of one volume, callable without threads or sockets.

    Parameters
    ----------
    bundle, provider, threads, clock
        As for `rtdecode.engine.Engine`.
    """

    def __init__(
        self,
        bundle: Bundle,
        provider: Provider = "cpu",
        threads: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._engine = Engine(bundle, provider, threads, self._clock)
        self.provider = self._engine.provider
        self.bundle_digest = bundle.digest
        self.classes = bundle.manifest.classes
        self.repetition_time_s = bundle.manifest.repetition_time_s
        dwell_s = bundle.manifest.dwell_s
        self._span = "the window" if dwell_s is None else f"the last {dwell_s:g} s"
        affine = bundle.space.reference_affine
        x_mm, y_mm, z_mm = voxel_mm(affine)
        self.expected = Expected(
            bundle.manifest.source_shape,
            (x_mm, y_mm, z_mm),
            self.repetition_time_s,
            tuple(tuple(row) for row in affine.tolist()),
        )

    def step(self, item: Volume | Skipped) -> Outcome:
        """Return the outcome of one volume; what the ledger skipped stays skipped."""
        if isinstance(item, Skipped):
            return item
        differences = self.expected.differences(
            item.data.shape, item.affine, item.repetition_time_s
        )
        if differences:
            words = f"{'; '.join(differences)}; use the calibration run's protocol"
            return self._refused(item, SkipReason.WRONG_SERIES, words)
        try:
            decision = self._engine.step(item)
        except VolumeError as error:
            return self._refused(item, SkipReason.CORRUPT, str(error))
        if "not_ready" in decision.quality.why:
            return _without_evidence(
                decision, SkipReason.NOT_READY, "the run's statistics are still being gathered"
            )
        if decision.window_volumes == 0:
            reasons = ", ".join(decision.quality.why)
            return _without_evidence(
                decision, SkipReason.NO_EVIDENCE, f"no usable volume in {self._span} ({reasons})"
            )
        return decision

    def _refused(self, volume: Volume, reason: SkipReason, detail: str) -> Skipped:
        stamps = replace(volume.stamps, decided_ns=self._clock.monotonic_ns())
        return Skipped(volume.index, reason, detail, stamps=stamps)

    def state(self) -> State:
        """Return everything the next outcome depends on."""
        return self._engine.state()

    def restore(self, state: State) -> None:
        """Continue from what `state` returned."""
        self._engine.restore(state)

    def warm_up(self) -> None:
        """Do once, before the run, whatever is slow the first time."""
        self._engine.warm_up()


def _without_evidence(decision: Decision, reason: SkipReason, detail: str) -> Skipped:
    return Skipped(
        index=decision.index,
        reason=reason,
        detail=detail,
        motion=decision.motion,
        quality=decision.quality,
        stamps=decision.stamps,
    )
