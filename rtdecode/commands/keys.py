"""`rtdecode keys`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Make keys for services and clients on different computers, and say whom to let in.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None, typer.Option(help="Where keys are kept. [default: the user's configuration]")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def new(
    client: Annotated[
        str | None, typer.Option(help="Make a client's keys, under this name.")
    ] = None,
    folder: Folder = None,
    json: Json = False,
) -> None:
    """Make a key pair: the service's, or with --client a client's.

    Example: rtdecode keys new --client stimulus-pc
    """
    import msgspec

    from rtdecode import keys

    where = folder or keys.default_folder()
    public = keys.new_service(where) if client is None else keys.new_client(where, client)
    if json:
        made = {"public": str(public), "secret": str(public.with_suffix(".key_secret"))}
        typer.echo(msgspec.json.encode(made))
    elif client is None:
        typer.echo(
            f"made {public} and its secret beside it\n"
            f"copy {public.name} to each client's key folder; let a client in with\n"
            "  rtdecode keys allow NAME.key\n"
            f"and serve with --keys {where}"
        )
    else:
        typer.echo(
            f"made {public} and its secret beside it\n"
            f"copy {public.name} to the service's computer, and there: rtdecode keys allow "
            f"{public.name}\ncopy the service's service.key to {where}"
        )


@app.command(name="list")
def show(folder: Folder = None, json: Json = False) -> None:
    """List the keys in a folder; secrets are not shown.

    Example: rtdecode keys list
    """
    import msgspec

    from rtdecode import keys

    where = folder or keys.default_folder()
    found = keys.listed(where)
    if json:
        typer.echo(msgspec.json.encode({"folder": str(where), "keys": found}))
        return
    typer.echo(f"{where}:" if found else f"{where}: no keys; make them: rtdecode keys new")
    for key in found:
        typer.echo(f"  {key.kind:8} {key.name:24} {key.public}")


@app.command()
def allow(
    file: Annotated[Path, typer.Argument(help="The client's public key, NAME.key.")],
    folder: Folder = None,
) -> None:
    """Let a client in; a service that is running has to be started again.

    Example: rtdecode keys allow stimulus-pc.key
    """
    from rtdecode import keys

    copy = keys.allow(folder or keys.default_folder(), file)
    typer.echo(f"{copy.stem} is allowed; to shut it out again, delete {copy}")
