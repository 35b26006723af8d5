"""`rtdecode dashboard`."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from rtdecode.commands.options import ClientKeys
from rtdecode.errors import ConfigError
from rtdecode.ports import CONTROL, OUTCOMES

PORT = 7810


def dashboard(
    session: Annotated[
        Path | None, typer.Option(help="Find the service, and the slices, by its session folder.")
    ] = None,
    outcomes: Annotated[str, typer.Option(help="Without --session: its outcomes.")] = OUTCOMES,
    control: Annotated[str, typer.Option(help="Without --session: its control.")] = CONTROL,
    bundle: Annotated[
        Path | None, typer.Option(help="The decoder. [default: the one that the session names]")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="The run's protocol: blocks, as a BIDS events.tsv.")
    ] = None,
    keys: ClientKeys = None,
    port: Annotated[int, typer.Option(help="0: whichever is free.", min=0, max=65535)] = PORT,
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this computer's asks for a token.")
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None, typer.Option(help="The token to ask for. [default: a new one, printed]")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Show a session in the browser: run, decision, motion, signal, latency, ledger, slices.

    It is a subscriber in a process of its own: it may start late, end or hang, and the service does
    not notice. Stop it with Ctrl-C.

    Example: rtdecode dashboard --session sub-01_run-1 --events sub-01_events.tsv
    """
    from rtdecode.client.follower import ServiceAddress
    from rtdecode.dashboard.access import token_for
    from rtdecode.dashboard.planned_blocks import read_blocks
    from rtdecode.dashboard.web_server import Settings, run

    if session is not None and not session.is_dir():
        raise ConfigError(
            f"{session} is no folder; give the folder that rtdecode serve --session has"
        )

    def announce(address: str) -> None:
        typer.echo(f"dashboard {address}", err=True)
        if show:
            webbrowser.open(address)

    settings = Settings(
        address=ServiceAddress(session, outcomes, control, keys),
        bundle=bundle,
        blocks=() if events is None else read_blocks(events),
        host=host,
        port=port,
        token=token_for(host, token_file),
    )
    run(settings, announce)
