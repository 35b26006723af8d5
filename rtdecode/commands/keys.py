"""`rtdecode keys`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Make keys for services and clients on different computers, and allow clients.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None,
    typer.Option(help="Folder of the keys. [default: a folder of the user's configuration]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def new(
    client: Annotated[str | None, typer.Option(help="Name of a client: make its keys.")] = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Make a key pair for the service, or with --client for a client.

    Example: rtdecode keys new --client stimulus-pc
    """
    import msgspec

    from rtdecode import keys

    where = folder or keys.default_folder()
    public = keys.new_service(where) if client is None else keys.new_client(where, client)
    if json:
        files = {"public": str(public), "secret": str(public.with_suffix(".key_secret"))}
        typer.echo(msgspec.json.encode(files))
    elif client is None:
        typer.echo(
            f"made {public} and its secret key in the same folder\n"
            f"copy {public.name} to the key folder of each client; allow each client with\n"
            "  rtdecode keys allow NAME.key\n"
            f"and serve with --keys {where}"
        )
    else:
        typer.echo(
            f"made {public} and its secret key in the same folder\n"
            f"copy {public.name} to the service's computer, and run there: rtdecode keys allow "
            f"{public.name}\ncopy the service's service.key to {where}"
        )


@app.command(name="list")
def show(folder: Folder = None, json: Json = False) -> None:
    """List the keys in a folder, without the secret keys.

    Example: rtdecode keys list
    """
    import msgspec

    from rtdecode import keys

    where = folder or keys.default_folder()
    entries = keys.list_keys(where)
    if json:
        typer.echo(msgspec.json.encode({"folder": str(where), "keys": entries}))
        return
    typer.echo(f"{where}:" if entries else f"{where}: no keys; make them with: rtdecode keys new")
    for key in entries:
        typer.echo(f"  {key.kind:8} {key.name:24} {key.public}")


@app.command()
def allow(
    file: Annotated[Path, typer.Argument(help="The client's public key, NAME.key.")],
    folder: Folder = None,
) -> None:
    """Allow a client. Restart a service that is running.

    Example: rtdecode keys allow stimulus-pc.key
    """
    from rtdecode import keys

    copy = keys.allow(folder or keys.default_folder(), file)
    typer.echo(f"{copy.stem} is allowed; to refuse it again, delete {copy}")
