"""`rtdecode adapt`: a session's outcomes in the protocols of other programs."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from rtdecode.adapters.address import Address, parse_address
from rtdecode.commands.options import ClientKeys
from rtdecode.errors import ConfigError

RESULTS, LINES = "127.0.0.1:5556", "127.0.0.1:7804"

Session = Annotated[
    Path, typer.Option(help="The session's folder; the service may stop and restart.")
]
Listen = Annotated[
    str, typer.Option(help="Address for clients; * for every address of this computer.")
]

app = typer.Typer(
    no_args_is_help=True,
    help="Pass decisions to programs that use another protocol.\n\nAn adapter runs next to "
    "`rtdecode serve`, as a separate process; Ctrl-C ends the adapter, not the session.\n\n"
    "Example: rtdecode adapt json-lines --session sub-01_run-1",
)


@app.command()
def pyneal_results(
    session: Session,
    listen: Listen = RESULTS,
    value: Annotated[
        list[str] | None,
        typer.Option(
            help="KEY:CLASS: scripts read the probability of CLASS as KEY; may be repeated. "
            "[default: average, for the bundle's first class]"
        ),
    ] = None,
    keys: ClientKeys = None,
) -> None:
    """Answer stimulus scripts of Pyneal's results server.

    A script sends a volume's number from 0 and gets one line of JSON:
    "foundResults", "average", "label", and the probability of each class.

    Example: rtdecode adapt pyneal-results --session sub-01_run-1 --value average:faces
    """
    from rtdecode.adapters import pyneal_results as results
    from rtdecode.signals import stopped_by_signals

    values = _values(value or [])
    address, stop = parse_address(listen), Event()
    with stopped_by_signals(stop):
        results.run(session, address, values, stop, _announce("Pyneal's results"), keys)


@app.command()
def json_lines(session: Session, listen: Listen = LINES, keys: ClientKeys = None) -> None:
    """Send each outcome as a line of JSON to every client that connects.

    A client gets the earlier outcomes of the run, then each new one.

    Example: rtdecode adapt json-lines --session sub-01_run-1
    """
    from rtdecode.adapters import json_lines as lines
    from rtdecode.signals import stopped_by_signals

    address, stop = parse_address(listen), Event()
    with stopped_by_signals(stop):
        lines.run(session, address, stop, _announce("lines of JSON"), keys)


@app.command()
def lsl(
    session: Session,
    network: Annotated[
        bool, typer.Option("--network", help="Announce the streams also to other computers.")
    ] = False,
    keys: ClientKeys = None,
) -> None:
    """Offer decisions as two Lab Streaming Layer streams: rtdecode and rtdecode-labels.

    Example: rtdecode adapt lsl --session sub-01_run-1
    """
    from rtdecode.adapters import lsl as streams
    from rtdecode.signals import stopped_by_signals

    stop = Event()
    with stopped_by_signals(stop):
        streams.run(session, stop, network=network, keys=keys)


def _announce(what: str) -> Callable[[Address], None]:
    return lambda address: typer.echo(f"{what} on {address}; Ctrl-C ends it", err=True)


def _values(texts: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in texts:
        key, _, name = text.partition(":")
        if not key or not name or key in values:
            raise ConfigError(
                f"--value {text!r} must be KEY:CLASS, such as average:faces, with each KEY once"
            )
        values[key] = name
    return values
