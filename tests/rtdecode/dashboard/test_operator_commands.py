"""Which buttons are enabled."""

from typing import get_args

from rtdecode.lifecycle import COMMANDS, TRANSITIONS, possible_commands
from rtdecode.wire import RunState

POSSIBLE = {
    "idle": {"start"},
    "ended": {"start"},
    "ready": {"pause", "end"},
    "calibrating": {"pause", "end"},
    "running": {"pause", "end"},
    "paused": {"resume", "end"},
}


def test_the_possible_commands_are_those_that_the_service_accepts():
    """In every state."""
    for state in get_args(RunState):
        accepted = {str(event) for event in COMMANDS if (state, event) in TRANSITIONS}
        assert {str(command) for command in possible_commands(state)} == accepted, state
        assert accepted == POSSIBLE.get(state, set()), state
