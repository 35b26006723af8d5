"""`rtdecode monitor`."""

from pathlib import Path
from typing import Annotated

import typer

from rtdecode.commands.options import ClientKeys
from rtdecode.ports import CONTROL, OUTCOMES


def monitor(
    session: Annotated[
        Path | None, typer.Option(help="Find the service by its session folder.")
    ] = None,
    outcomes: Annotated[str, typer.Option(help="The service's outcomes.")] = OUTCOMES,
    control: Annotated[str, typer.Option(help="The service's control.")] = CONTROL,
    keys: ClientKeys = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON an outcome.")] = False,
) -> None:
    """Show decisions, motion and latency live in the terminal.

    Example: rtdecode monitor --session sub-01_run-1
    """
    from rich.console import Console

    from rtdecode.client import session_endpoints
    from rtdecode.monitor import watch

    if session is not None:
        found = session_endpoints(session)
        outcomes, control = found["outcomes"], found["control"]
    watch(outcomes, control, Console(), as_json=json, keys=keys)
