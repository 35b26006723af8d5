"""What the buttons offer."""

from typing import get_args

from rtdecode.dashboard.operator_commands import POSSIBLE
from rtdecode.lifecycle import COMMANDS, TRANSITIONS
from rtdecode.wire import RunState


def test_the_buttons_offer_what_the_service_would_do():
    """Neither more nor less, in every state."""
    for state in get_args(RunState):
        possible = {str(event) for event in COMMANDS if (state, event) in TRANSITIONS}
        assert set(POSSIBLE.get(state, ())) == possible, state
