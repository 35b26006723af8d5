"""The life of a run as a table: what may happen in which state, and what comes of it."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from rtdecode.wire import RunState


class Event(StrEnum):
    """What happens to a run."""

    START = "start"
    """A run is opened, by command or by its first volume."""
    GATHERING = "gathering"
    """A volume's outcome is that the statistics are not ready yet, or that it is a dummy."""
    DECISION = "decision"
    """A volume was decided."""
    PAUSE = "pause"
    RESUME = "resume"
    NEXT = "next"
    """Another series of the same protocol takes the run's place: it ends and the next one opens."""
    END = "end"
    SHUTDOWN = "shutdown"
    FAULT = "fault"


TRANSITIONS: Mapping[tuple[RunState, Event], RunState] = MappingProxyType(
    {
        # The service is up and no run was opened.
        ("idle", Event.START): "ready",
        ("idle", Event.SHUTDOWN): "idle",
        ("idle", Event.FAULT): "faulted",
        # A run is open and waits for its first volume, or for the first after a pause.
        ("ready", Event.GATHERING): "calibrating",
        ("ready", Event.DECISION): "running",
        ("ready", Event.PAUSE): "paused",
        ("ready", Event.NEXT): "ready",
        ("ready", Event.END): "ended",
        ("ready", Event.SHUTDOWN): "stopped",
        ("ready", Event.FAULT): "faulted",
        # Volumes come, and the online statistics do not mean anything yet.
        ("calibrating", Event.GATHERING): "calibrating",
        ("calibrating", Event.DECISION): "running",
        ("calibrating", Event.PAUSE): "paused",
        ("calibrating", Event.NEXT): "ready",
        ("calibrating", Event.END): "ended",
        ("calibrating", Event.SHUTDOWN): "stopped",
        ("calibrating", Event.FAULT): "faulted",
        # Volumes are decided.
        ("running", Event.GATHERING): "running",
        ("running", Event.DECISION): "running",
        ("running", Event.PAUSE): "paused",
        ("running", Event.NEXT): "ready",
        ("running", Event.END): "ended",
        ("running", Event.SHUTDOWN): "stopped",
        ("running", Event.FAULT): "faulted",
        # Volumes are taken in and keep the statistics going; none has a decision.
        ("paused", Event.GATHERING): "paused",
        ("paused", Event.RESUME): "ready",
        ("paused", Event.NEXT): "ready",
        ("paused", Event.END): "ended",
        ("paused", Event.SHUTDOWN): "stopped",
        ("paused", Event.FAULT): "faulted",
        # Every volume of the run has its outcome.
        ("ended", Event.START): "ready",
        ("ended", Event.SHUTDOWN): "ended",
        ("ended", Event.FAULT): "faulted",
        # Nothing more happens; serving the session again goes on.
        ("faulted", Event.SHUTDOWN): "faulted",
        ("faulted", Event.FAULT): "faulted",
        ("stopped", Event.SHUTDOWN): "stopped",
        ("stopped", Event.FAULT): "faulted",
    }
)

OPEN: frozenset[RunState] = frozenset(("ready", "calibrating", "running", "paused"))
"""The states in which a volume belongs to a run."""

COMMANDS = (Event.START, Event.PAUSE, Event.RESUME, Event.END)
"""The events that an operator may ask for."""


def after(state: RunState, events: Iterable[Event]) -> RunState:
    """Return the state that events lead to; one that is not possible changes nothing."""
    for event in events:
        state = TRANSITIONS.get((state, event), state)
    return state


def refusal(run: int, state: RunState, event: Event) -> str:
    """Return why an event is not possible in a state, and what is; empty where it is possible."""
    if (state, event) in TRANSITIONS:
        return ""
    possible = [command for command in COMMANDS if (state, command) in TRANSITIONS]
    now = " or ".join(possible) or "nothing; serve the same session again to go on"
    where = f"run {run} is {state}" if run else "no run has begun"
    return f"{event} is not possible while {where}; possible now: {now}"
