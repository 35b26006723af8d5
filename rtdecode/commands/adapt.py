"""`rtdecode adapt`: a session's outcomes in other programs' protocols."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from rtdecode.adapters.address import Address, parse_address
from rtdecode.errors import ConfigError

RESULTS, LINES = "127.0.0.1:5556", "127.0.0.1:7804"

Session = Annotated[
    Path, typer.Option(help="The session's folder; its service may stop and start again.")
]
Listen = Annotated[
    str, typer.Option(help="Where clients connect; * for every address of this machine.")
]
Keys = Annotated[
    Path | None, typer.Option(help="Folder of this client's keys, where the service has some.")
]

app = typer.Typer(
    no_args_is_help=True,
    help="Hand decisions to programs that speak another protocol.\n\nStart one beside `rtdecode "
    "serve`, in a process of its own; Ctrl-C ends it, and the session goes on.\n\n"
    "Example: rtdecode adapt json-lines --session sub-01_run-1",
)


@app.command()
def pyneal_results(
    session: Session,
    listen: Listen = RESULTS,
    value: Annotated[
        list[str] | None,
        typer.Option(
            help="KEY:CLASS, the class whose probability scripts read as KEY; may be repeated "
            "(without it: average, of the bundle's first class)."
        ),
    ] = None,
    keys: Keys = None,
) -> None:
    """Answer stimulus scripts that were written for Pyneal's results server.

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
def json_lines(session: Session, listen: Listen = LINES, keys: Keys = None) -> None:
    """Send each outcome as a line of JSON to whoever connects.

    A client gets the run so far, then each outcome as it comes.

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
        bool, typer.Option("--network", help="Announce the streams to other machines, too.")
    ] = False,
    keys: Keys = None,
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


def _values(stated: list[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in stated:
        key, _, name = text.partition(":")
        if not key or not name or key in values:
            raise ConfigError(
                f"--value {text!r}: it is KEY:CLASS, such as average:faces, each KEY once"
            )
        values[key] = name
    return values
