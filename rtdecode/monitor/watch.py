"""The loop that redraws the terminal."""

from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live

from rtdecode.client.follower import Follower, ServiceAddress
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError
from rtdecode.monitor.view import MonitorState, render
from rtdecode.wire import encode, to_message

FRAME_S = 0.1
"""Longest time between two frames, and longest wait for an answer, seconds."""
STATUS_S = 1.0
"""Interval between two requests for the status, seconds."""


def watch(
    outcomes: str,
    control: str,
    console: Console,
    *,
    as_json: bool = False,
    clock: Clock | None = None,
    keys: Path | None = None,
) -> None:
    """Show a service's outcomes until its run ends, it stops for a fault, or Ctrl-C.

    Parameters
    ----------
    outcomes, control
        The service's endpoints.
    console
        The terminal.
    as_json
        Print each outcome as one line of JSON instead, as on the wire.
    clock
        Measures the age of the last outcome.
    keys
        Folder or secret file of this client's keys, for a service that requires keys.
    """
    clock = clock or SystemClock()
    with Follower(ServiceAddress(None, outcomes, control, keys), FRAME_S) as follower:
        follower.connect()
        if as_json:
            for numbered in follower.outcomes:
                console.file.write(encode(to_message(numbered)).decode() + "\n")
                console.file.flush()
            return
        _live(follower, console, clock)


def _live(follower: Follower, console: Console, clock: Clock) -> None:
    session = MonitorState()
    outcome_ns = request_ns = clock.monotonic_ns()
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            for numbered in follower.read(FRAME_S):
                session.add(numbered)
                outcome_ns = clock.monotonic_ns()
            now_ns = clock.monotonic_ns()
            if session.status is None or now_ns - request_ns > STATUS_S * 1e9:
                with suppress(ConfigError):  # the frame shows how old the last outcome is
                    session.status = follower.control.status()
                request_ns = now_ns
            published = follower.outcomes.status
            if published is not None and published.state != "running":
                session.status = published
            silent_s = (now_ns - outcome_ns) / 1e9
            live.update(render(session, console.width, console.height, silent_s), refresh=True)
            if follower.outcomes.ended or follower.outcomes.fault:
                break
    if console.is_terminal:
        console.print(render(session, console.width))
