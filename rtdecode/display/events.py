"""The blocks that were presented, put into the session's record by its service."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rtdecode.client import Control, session_endpoints
from rtdecode.errors import RtdecodeError

ANSWER_S = 2.0


@dataclass(frozen=True, slots=True)
class Presented:
    """A block that has begun."""

    trial_type: str
    onset_s: float
    """In the run, as the page was told."""
    duration_s: float
    """Until its end by the protocol."""


async def report(
    events: "asyncio.Queue[Presented | None]",
    session: Path,
    keys: Path | None,
    tell: Callable[[str], None],
) -> None:
    """Send each event to the session's service, until there is a `None`.

    A service that is away does not get it, and the operator is told; `displayed.jsonl` has it.
    """
    while (event := await events.get()) is not None:
        try:
            await asyncio.to_thread(_send, event, session, keys)
        except RtdecodeError:
            tell("the service did not take the beginning of a block into its record")


def _send(event: Presented, session: Path, keys: Path | None) -> None:
    with Control(session_endpoints(session)["control"], ANSWER_S, keys) as control:
        control.event(event.trial_type, event.onset_s, event.duration_s)
