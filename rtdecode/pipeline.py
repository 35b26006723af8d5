"""From a volume to exactly one outcome; no input or output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ProtocolError, VolumeError
from rtdecode.ledger import ScanProtocol
from rtdecode.types import Decision, Outcome, Skipped, SkipReason, State, Volume

if TYPE_CHECKING:
    from rtdecode.bundle import Bundle
    from rtdecode.engine import Provider


class Decoder(Protocol):
    """Interface of a decoder for the service; `Pipeline` is the product's."""

    @property
    def bundle_digest(self) -> str:
        """The digest of the bundle that decides."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        ...

    @property
    def repetition_time_s(self) -> float:
        """Seconds between volumes."""
        ...

    @property
    def protocol(self) -> ScanProtocol | None:
        """The protocol of a run; `None` accepts every protocol."""
        ...

    def step(self, item: Volume | Skipped) -> Outcome:
        """Return the outcome of the next volume; a volume that cannot be used is `Skipped`."""
        ...

    def state(self) -> State:
        """Return what the next outcome depends on, in arrays that later steps do not change."""
        ...

    def restore(self, state: State) -> None:
        """Continue from a result of `state`."""
        ...

    def warm_up(self) -> None:
        """Do what is slow the first time; the state is unchanged afterwards."""
        ...


class Pipeline:
    """The decoder of a bundle: protocol check, stages and network.

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
        # Numba and ONNX Runtime are slow to import; the checks before a start do without them.
        from rtdecode.engine import Engine

        self._clock = clock or SystemClock()
        self._engine = Engine(bundle, provider, threads, self._clock)
        self.provider = self._engine.provider
        self.protocol = self._engine.protocol
        self.bundle_digest = bundle.digest
        self.classes = bundle.manifest.classes
        self.repetition_time_s = bundle.manifest.repetition_time_s
        dwell_s = bundle.manifest.dwell_s
        self._span = "the window" if dwell_s is None else f"the last {dwell_s:g} s"

    def step(self, item: Volume | Skipped) -> Outcome:
        """Return the outcome of one volume; what the ledger skipped stays skipped."""
        if isinstance(item, Skipped):
            return item
        try:
            decision = self._engine.step(item)
        except VolumeError as error:
            skipped = refuse(item, error)
            return replace(
                skipped, stamps=replace(item.stamps, decided_ns=self._clock.monotonic_ns())
            )
        if "not_ready" in decision.quality.why:
            return skip(
                decision, SkipReason.NOT_READY, "the run's statistics are still being gathered"
            )
        if decision.window_volumes == 0:
            reasons = ", ".join(decision.quality.why)
            return skip(
                decision, SkipReason.NO_EVIDENCE, f"no usable volume in {self._span} ({reasons})"
            )
        return decision

    def state(self) -> State:
        """Return everything the next outcome depends on."""
        return self._engine.state()

    def restore(self, state: State) -> None:
        """Continue from a result of `state`."""
        self._engine.restore(state)

    def warm_up(self) -> None:
        """Do before the run what is slow the first time."""
        self._engine.warm_up()


def decide(decoder: Decoder, item: Volume | Skipped, dummies: int, *, paused: bool) -> Outcome:
    """Return the outcome of a volume of a run.

    Parameters
    ----------
    decoder
        It does not get dummy volumes. It gets every volume during a pause, so that its statistics
        continue, and its decisions are withheld.
    item
        From the ledger.
    dummies
        The number of dummy volumes at the start of the run.
    paused
        Whether the run is paused.
    """
    if isinstance(item, Volume) and item.index < dummies:
        detail = f"one of the first {dummies} volumes, which are not used"
        return Skipped(item.index, SkipReason.DUMMY, detail, stamps=item.stamps)
    try:
        outcome = decoder.step(item)
    except VolumeError as error:
        return refuse(item, error)
    if paused and isinstance(outcome, Decision):
        return skip(outcome, SkipReason.PAUSED, "the run is paused")
    return outcome


def skip(decision: Decision, reason: SkipReason, detail: str) -> Skipped:
    """Return a skipped volume in place of a decision, with the decision's measurements."""
    return Skipped(
        index=decision.index,
        reason=reason,
        detail=detail,
        motion=decision.motion,
        quality=decision.quality,
        stamps=decision.stamps,
    )


def refuse(item: Volume | Skipped, error: VolumeError) -> Skipped:
    """Return a skipped volume in place of one that cannot be used."""
    wrong_protocol = isinstance(error, ProtocolError)
    reason = SkipReason.WRONG_SERIES if wrong_protocol else SkipReason.CORRUPT
    return Skipped(item.index, reason, str(error), stamps=item.stamps)
