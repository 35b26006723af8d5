"""`rtdecode dashboard`."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from rtdecode.commands.options import ClientKeys, ControlEndpoint, OutcomesEndpoint
from rtdecode.errors import ConfigError
from rtdecode.ports import CONTROL, OUTCOMES

PORT = 7810


def dashboard(
    session: Annotated[
        Path | None,
        typer.Option(
            help="The session's folder: it names the service's endpoints and holds the volumes."
        ),
    ] = None,
    outcomes: OutcomesEndpoint = OUTCOMES,
    control: ControlEndpoint = CONTROL,
    bundle: Annotated[
        Path | None, typer.Option(help="The decoder's bundle. [default: the bundle of the session]")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="Blocks of the run, as a BIDS events.tsv.")
    ] = None,
    keys: ClientKeys = None,
    port: Annotated[
        int, typer.Option(help="Port of the page; 0: a free port.", min=0, max=65535)
    ] = PORT,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. A page that other computers can reach requires a token."
        ),
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token of the page. [default: a new token, printed]"),
    ] = None,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
) -> None:
    """Show a session in the browser: run, decision, motion, signal, latency, ledger, slices.

    The dashboard is a separate process: the service does not notice if it starts late, ends or
    hangs. Stop it with Ctrl-C.

    Example: rtdecode dashboard --session sub-01_run-1 --events sub-01_events.tsv
    """
    from rtdecode.client.follower import ServiceAddress
    from rtdecode.dashboard.access import token_for
    from rtdecode.dashboard.planned_blocks import read_blocks
    from rtdecode.dashboard.web_server import DashboardSettings, run

    if session is not None and not session.is_dir():
        raise ConfigError(f"{session} is not a folder; give the folder of rtdecode serve --session")

    def announce(address: str) -> None:
        typer.echo(f"dashboard {address}", err=True)
        if show:
            webbrowser.open(address)

    settings = DashboardSettings(
        address=ServiceAddress(session, outcomes, control, keys),
        bundle=bundle,
        blocks=() if events is None else read_blocks(events),
        host=host,
        port=port,
        token=token_for(host, token_file),
    )
    run(settings, announce)
