"""One volume to one outcome, under the run's rules and in its state."""

from rtdecode.errors import VolumeError
from rtdecode.service.lifecycle import Event
from rtdecode.service.settings import Decoder
from rtdecode.types import Decision, Outcome, Skipped, SkipReason, Volume


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


def told_by(outcome: Outcome) -> tuple[Event, ...]:
    """Return what an outcome says of the run."""
    if isinstance(outcome, Decision):
        return (Event.DECISION,)
    gathering = outcome.reason in (SkipReason.NOT_READY, SkipReason.DUMMY)
    return (Event.GATHERING,) if gathering else ()
