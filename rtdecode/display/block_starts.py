"""Reports the presented blocks to the service, which adds them to the session's record."""

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
    """The start of a block."""

    trial_type: str
    onset_s: float
    """Time of the run at which the page got the block, seconds."""
    duration_s: float
    """Time until the end of the block in the protocol, seconds."""


async def report(
    events: "asyncio.Queue[BlockStart | None]",
    session: Path,
    keys: Path | None,
    notify: Callable[[str], None],
) -> None:
    """Send each event to the session's service until a `None`.

    If the service does not answer, the operator is notified; `displayed.jsonl` has the event.
    """
    while (event := await events.get()) is not None:
        try:
            await asyncio.to_thread(present, event, session, keys)
        except RtdecodeError:
            notify("the service did not record the start of a block")


def present(event: BlockStart, session: Path, keys: Path | None = None) -> None:
    """Send an event to the session's service and wait for its answer.

    Raises
    ------
    RtdecodeError
        The service did not record the event.
    """
    with Control(session_endpoints(session)["control"], ANSWER_S, keys) as control:
        control.event(event.trial_type, event.onset_s, event.duration_s)


def block_start(frame: Frame, previous: Frame | None, run_s: float) -> BlockStart | None:
    """Return the block that starts with a frame, or `None`.

    Parameters
    ----------
    frame
        The present frame.
    previous
        The frame before it.
    run_s
        The time of the run.
    """
    block = frame.block
    if block is None or (
        previous is not None and (previous.run, previous.block) == (frame.run, block)
    ):
        return None
    return BlockStart(block.trial_type, run_s, block.end_s - run_s)
