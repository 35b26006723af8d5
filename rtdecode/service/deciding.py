"""One volume to one outcome, under the run's rules and in its state."""

from dataclasses import replace

from rtdecode.errors import VolumeError
from rtdecode.lifecycle import LifecycleEvent
from rtdecode.service.settings import Decoder
from rtdecode.types import Decision, Outcome, Skipped, SkipReason, Volume
from rtdecode.wire import Numbered


def decide(decoder: Decoder, item: Volume | Skipped, dummies: int, *, paused: bool) -> Outcome:
    """Return what becomes of a volume.

    Parameters
    ----------
    decoder
        What decides. It does not see dummies; in a pause it sees every volume, so that its
        statistics go on, and its decisions are withheld.
    item
        What the ledger gave out.
    dummies
        So many first volumes are not used.
    paused
        Whether the run is.
    """
    if isinstance(item, Volume) and item.index < dummies:
        detail = f"one of the first {dummies} volumes, which are not used"
        return Skipped(item.index, SkipReason.DUMMY, detail, stamps=item.stamps)
    try:
        outcome = decoder.step(item)
    except VolumeError as error:
        return Skipped(item.index, SkipReason.CORRUPT, str(error), stamps=item.stamps)
    if not paused or isinstance(outcome, Skipped):
        return outcome
    return Skipped(
        index=outcome.index,
        reason=SkipReason.PAUSED,
        detail="the run is paused",
        motion=outcome.motion,
        quality=outcome.quality,
        stamps=outcome.stamps,
    )


def withheld(numbered: Numbered, deadline_s: float) -> Numbered:
    """Return what a client gets where late decisions are withheld: the volume is skipped then."""
    outcome = numbered.outcome
    if isinstance(outcome, Skipped) or not outcome.late:
        return numbered
    detail = f"decided more than {deadline_s:g} s after it came; the decision is in the record"
    skipped = Skipped(
        index=outcome.index,
        reason=SkipReason.LATE,
        detail=detail,
        motion=outcome.motion,
        quality=outcome.quality,
        stamps=outcome.stamps,
    )
    return replace(numbered, outcome=skipped)


def told_by(outcome: Outcome) -> tuple[LifecycleEvent, ...]:
    """Return what an outcome says of the run."""
    if isinstance(outcome, Decision):
        return (LifecycleEvent.DECISION,)
    gathering = outcome.reason in (SkipReason.NOT_READY, SkipReason.DUMMY)
    return (LifecycleEvent.GATHERING,) if gathering else ()
