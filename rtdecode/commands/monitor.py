"""`rtdecode monitor`."""

from pathlib import Path
from typing import Annotated

import typer

from rtdecode.commands.options import ClientKeys, ControlEndpoint, OutcomesEndpoint
from rtdecode.ports import CONTROL, OUTCOMES


def monitor(
    session: Annotated[
        Path | None, typer.Option(help="The session's folder, which names the service's endpoints.")
    ] = None,
    outcomes: OutcomesEndpoint = OUTCOMES,
    control: ControlEndpoint = CONTROL,
    keys: ClientKeys = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print each outcome as a line of JSON.")
    ] = False,
) -> None:
    """Show decisions, motion and latency live in the terminal.

    Example: rtdecode monitor --session sub-01_run-1
    """
    from rich.console import Console

    from rtdecode.client import session_endpoints
    from rtdecode.monitor import watch

    if session is not None:
        endpoints = session_endpoints(session)
        outcomes, control = endpoints["outcomes"], endpoints["control"]
    watch(outcomes, control, Console(), as_json=json, keys=keys)
