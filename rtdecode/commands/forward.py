"""`rtdecode forward`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtdecode.commands.options import ClientKeys
from rtdecode.ports import INGEST

if TYPE_CHECKING:
    from rtdecode.wire import IngestReply


def forward(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder that the scanner exports to.")
    ],
    to: Annotated[
        str, typer.Option(metavar="ENDPOINT", help="The service's ingest socket.")
    ] = INGEST,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="List of the delivered files, by SHA-256 and without names; delete it to send "
            "all files again. By default a file of this user, for FOLDER and ENDPOINT.",
        ),
    ] = None,
    keys: ClientKeys = None,
    polling: Annotated[
        bool,
        typer.Option("--polling", help="Search for new files even if the system reports them."),
    ] = False,
) -> None:
    r"""Send every file that a scanner exports to a service on another computer.

    It runs on the scanner's console, on Windows or Linux, until Ctrl-C.
    It first sends the files that are already in FOLDER and its subfolders,
    so give it the folder of this session. File names stay on the console.

    A file is delivered when the service has written it to its disk.
    Until then it is sent again. No file is lost or decoded twice if the service
    or this program is stopped and started again, or if the cable is pulled.

    A file that is still being written waits until it is complete.
    If it stays incomplete for 5 s it is sent as it is, so that the loss is
    reported, and again when it is complete.

    A service without keys listens on its own computer only.
    Use an SSH tunnel: start the first command on the decoding computer,
    and the others on the console, in two windows.

    rtdecode serve --bundle bundle/ --source zmq: --session run-1

    ssh -N -L 7803:127.0.0.1:7803 user@decoding-computer

    rtdecode forward D:\export

    With keys (docs/security.md) no tunnel is needed:

    rtdecode serve ... --keys KEYS --ingest tcp://192.168.2.1:7803

    Example: rtdecode forward D:\export --to tcp://192.168.2.1:7803 --keys KEYS
    """
    from rtdecode import player

    record = record or player.default_record(folder, to)
    typer.echo(f"sending {folder} to {to}; delivered files are listed in {record}", err=True)
    receipts: Counter[str] = Counter()

    def show(reply: "IngestReply") -> None:
        receipts[reply.receipt] += 1
        typer.echo(f"\r{_summary(receipts)}", nl=False, err=True)

    try:
        player.forward(folder, to, record, on_answer=show, force_polling=polling, keys=keys)
    except KeyboardInterrupt:
        typer.echo(f"\nstopped: {_summary(receipts)}", err=True)


def _summary(receipts: Counter[str]) -> str:
    return (
        f"{receipts['journalled']} delivered, {receipts['duplicate']} were there already, "
        f"{receipts['refused']} refused"
    )
