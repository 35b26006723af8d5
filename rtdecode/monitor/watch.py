"""Keeps the terminal up to date."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from rtdecode.client import Control, Outcomes
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError
from rtdecode.monitor.view import MonitorState, render
from rtdecode.wire import Numbered, encode, to_message

FRAME_S = 0.1
STATUS_S = 1.0


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
        Where to.
    as_json
        Print each outcome as one line of JSON instead, as it is on the wire.
    clock
        For the age of the last outcome.
    keys
        This client's, where the service asks for them.
    """
    clock = clock or SystemClock()
    with Outcomes(outcomes, control, keys=keys) as source:
        if as_json:
            for numbered in source:
                console.file.write(encode(to_message(numbered)).decode() + "\n")
                console.file.flush()
            return
        with Control(control, timeout_s=FRAME_S, keys=keys) as asked:
            _live(source, asked, console, clock)


def _live(source: Outcomes, control: Control, console: Console, clock: Clock) -> None:
    session = MonitorState()
    last_ns = asked_ns = clock.monotonic_ns()
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            for numbered in _ready(source):
                session.add(numbered)
                last_ns = clock.monotonic_ns()
            now_ns = clock.monotonic_ns()
            if session.status is None or now_ns - asked_ns > STATUS_S * 1e9:
                _ask(session, control)
                asked_ns = now_ns
            if source.status is not None and source.status.state != "running":
                session.status = source.status
            silent_s = (now_ns - last_ns) / 1e9
            live.update(render(session, console.width, console.height, silent_s), refresh=True)
            if source.ended or source.fault:
                break
    if console.is_terminal:
        console.print(render(session, console.width))


def _ready(source: Outcomes) -> Iterator[Numbered]:
    """Yield what has come within one frame's time."""
    numbered = source.poll(FRAME_S)
    while numbered is not None:
        yield numbered
        numbered = source.poll(0.0)


def _ask(session: MonitorState, control: Control) -> None:
    try:
        session.status = control.status()
    except ConfigError:
        return  # away for the moment; the frame says how old it is
