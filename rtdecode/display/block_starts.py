"""The blocks that were presented, put into the session's record by its service."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rtdecode.client import Control, session_endpoints
from rtdecode.errors import RtdecodeError
from rtdecode.feedback import Frame

ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class BlockStart:
    """A block that has begun."""

    trial_type: str
    onset_s: float
    """In the run, as the page was told."""
    duration_s: float
    """Until its end by the protocol."""


async def report(
    events: "asyncio.Queue[BlockStart | None]",
    session: Path,
    keys: Path | None,
    tell: Callable[[str], None],
) -> None:
    """Send each event to the session's service, until there is a `None`.

    A service that is away does not get it, and the operator is told; `displayed.jsonl` has it.
    """
    while (event := await events.get()) is not None:
        try:
            await asyncio.to_thread(present, event, session, keys)
        except RtdecodeError:
            tell("the service did not take the beginning of a block into its record")


def present(event: BlockStart, session: Path, keys: Path | None = None) -> None:
    """Send an event to the session's service, and wait for its answer.

    Raises
    ------
    RtdecodeError
        The service did not take it.
    """
    with Control(session_endpoints(session)["control"], ANSWER_S, keys) as control:
        control.event(event.trial_type, event.onset_s, event.duration_s)


def begun(frame: Frame, before: Frame | None, run_s: float) -> BlockStart | None:
    """Return the block that begins with a frame, if one does.

    Parameters
    ----------
    frame
        What is to be seen now.
    before
        What was to be seen before.
    run_s
        The time of the run.
    """
    block = frame.block
    if block is None or (before is not None and (before.run, before.block) == (frame.run, block)):
        return None
    return BlockStart(block.trial_type, run_s, block.end_s - run_s)
