"""The life of a run as a table: what may happen in which state, and what comes of it."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from rtdecode.wire import RunState


class LifecycleEvent(StrEnum):
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


TRANSITIONS: Mapping[tuple[RunState, LifecycleEvent], RunState] = MappingProxyType(
    {
        # The service is up and no run was opened.
        ("idle", LifecycleEvent.START): "ready",
        ("idle", LifecycleEvent.SHUTDOWN): "idle",
        ("idle", LifecycleEvent.FAULT): "faulted",
        # A run is open and waits for its first volume, or for the first after a pause.
        ("ready", LifecycleEvent.GATHERING): "calibrating",
        ("ready", LifecycleEvent.DECISION): "running",
        ("ready", LifecycleEvent.PAUSE): "paused",
        ("ready", LifecycleEvent.NEXT): "ready",
        ("ready", LifecycleEvent.END): "ended",
        ("ready", LifecycleEvent.SHUTDOWN): "stopped",
        ("ready", LifecycleEvent.FAULT): "faulted",
        # Volumes come, and the online statistics do not mean anything yet.
        ("calibrating", LifecycleEvent.GATHERING): "calibrating",
        ("calibrating", LifecycleEvent.DECISION): "running",
        ("calibrating", LifecycleEvent.PAUSE): "paused",
        ("calibrating", LifecycleEvent.NEXT): "ready",
        ("calibrating", LifecycleEvent.END): "ended",
        ("calibrating", LifecycleEvent.SHUTDOWN): "stopped",
        ("calibrating", LifecycleEvent.FAULT): "faulted",
        # Volumes are decided.
        ("running", LifecycleEvent.GATHERING): "running",
        ("running", LifecycleEvent.DECISION): "running",
        ("running", LifecycleEvent.PAUSE): "paused",
        ("running", LifecycleEvent.NEXT): "ready",
        ("running", LifecycleEvent.END): "ended",
        ("running", LifecycleEvent.SHUTDOWN): "stopped",
        ("running", LifecycleEvent.FAULT): "faulted",
        # Volumes are taken in and keep the statistics going; none has a decision.
        ("paused", LifecycleEvent.GATHERING): "paused",
        ("paused", LifecycleEvent.RESUME): "ready",
        ("paused", LifecycleEvent.NEXT): "ready",
        ("paused", LifecycleEvent.END): "ended",
        ("paused", LifecycleEvent.SHUTDOWN): "stopped",
        ("paused", LifecycleEvent.FAULT): "faulted",
        # Every volume of the run has its outcome.
        ("ended", LifecycleEvent.START): "ready",
        ("ended", LifecycleEvent.SHUTDOWN): "ended",
        ("ended", LifecycleEvent.FAULT): "faulted",
        # Nothing more happens; serving the session again goes on.
        ("faulted", LifecycleEvent.SHUTDOWN): "faulted",
        ("faulted", LifecycleEvent.FAULT): "faulted",
        ("stopped", LifecycleEvent.SHUTDOWN): "stopped",
        ("stopped", LifecycleEvent.FAULT): "faulted",
    }
)

OPEN: frozenset[RunState] = frozenset(("ready", "calibrating", "running", "paused"))
"""The states in which a volume belongs to a run."""

COMMANDS = (LifecycleEvent.START, LifecycleEvent.PAUSE, LifecycleEvent.RESUME, LifecycleEvent.END)
"""The events that an operator may ask for."""


def after(state: RunState, events: Iterable[LifecycleEvent]) -> RunState:
    """Return the state that events lead to; one that is not possible changes nothing."""
    for event in events:
        state = TRANSITIONS.get((state, event), state)
    return state


def possible_commands(state: RunState) -> list[LifecycleEvent]:
    """Return the commands that are possible in a state."""
    return [command for command in COMMANDS if (state, command) in TRANSITIONS]


def refusal(run: int, state: RunState, event: LifecycleEvent) -> str:
    """Return why an event is not possible in a state, and what is; empty where it is possible."""
    if (state, event) in TRANSITIONS:
        return ""
    now = " or ".join(possible_commands(state)) or "nothing; serve the same session again to go on"
    where = f"run {run} is {state}" if run else "no run has begun"
    return f"{event} is not possible while {where}; possible now: {now}"
