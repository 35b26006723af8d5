"""Every state, every event: what comes of it, or why not."""

from itertools import product
from typing import get_args

import pytest

from rtdecode.lifecycle import COMMANDS, OPEN, TRANSITIONS, LifecycleEvent, after, refusal
from rtdecode.wire import RunState

STATES = get_args(RunState)
# Written out once more: events in the order of `LifecycleEvent`, "-" where one is impossible.
#          start    gathering      decision   pause     resume   next     end
TABLE = {
    "idle": "ready - - - - - -",
    "ready": "- calibrating running paused - ready ended",
    "calibrating": "- calibrating running paused - ready ended",
    "running": "- running running paused - ready ended",
    "paused": "- paused - - ready ready ended",
    "ended": "ready - - - - - -",
    "stopped": "- - - - - - -",
    "faulted": "- - - - - - -",
}
SHUTDOWN = {state: "stopped" if state in OPEN else state for state in STATES}
EXPECTED = {
    (state, event): target
    for state, row in TABLE.items()
    for event, target in zip(
        LifecycleEvent, [*row.split(), SHUTDOWN[state], "faulted"], strict=True
    )
}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, LifecycleEvent)))
def test_every_transition(state, event):
    """What is in the table happens; what is not changes nothing and is refused with a reason."""
    expected = EXPECTED[state, event]
    if expected == "-":
        assert (state, event) not in TRANSITIONS
        assert after(state, [event]) == state
        assert refusal(3, state, event).startswith(
            f"{event} is not possible while run 3 is {state}"
        )
    else:
        assert TRANSITIONS[state, event] == expected
        assert after(state, [event]) == expected
        assert refusal(3, state, event) == ""


def test_a_refusal_says_what_is_possible():
    """The operator reads the state, and what can be done in it."""
    told = refusal(2, "paused", LifecycleEvent.PAUSE)
    assert told == "pause is not possible while run 2 is paused; possible now: resume or end"
    assert "no run has begun; possible now: start" in refusal(0, "idle", LifecycleEvent.END)
    assert "serve the same session again" in refusal(1, "faulted", LifecycleEvent.START)


def test_every_state_can_be_reached():
    """From a service that has just come up."""
    reached = {"idle"}
    while True:
        more = {to for (state, _), to in TRANSITIONS.items() if state in reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(STATES)


def test_no_command_leads_out_of_a_fault():
    """What a fault stopped is gone on with by serving it again, never by a command."""
    for command in COMMANDS:
        assert after("faulted", [command]) == "faulted"
