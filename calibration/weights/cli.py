"""`rtdecode weights`: published weights, imported from a file or fetched from their authors."""

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

from calibration.weights.embedded import EMBEDDED, embedded
from calibration.weights.published import DEEPLIGHT_2D, PUBLISHED, Published, registered

app = typer.Typer(
    no_args_is_help=True,
    help="Pretrained networks. rtdecode contains one, trained on simulated people only. Published "
    "ones are fetched from their authors, or imported from a file.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(help="The published file.", metavar="FILE")],
    as_json: AsJson = False,
) -> None:
    """Check a published weights file by its SHA-256 and store it in this user's cache.

    The file is a pickle. It is read with an unpickler that admits only numpy arrays, and stored as
    safetensors, which contain no code.
    """
    from rich.console import Console

    from calibration.weights.store import import_weights

    path = import_weights(file)
    Console(stderr=True).print(DEEPLIGHT_2D.licence, highlight=False)
    _print(DEEPLIGHT_2D, path, as_json)


@app.command("fetch")
def fetch_command(
    name: Annotated[
        str,
        typer.Argument(help="A name from `rtdecode weights list`.", metavar="NAME"),
    ] = DEEPLIGHT_2D.name,
    as_json: AsJson = False,
) -> None:
    """Download published weights from their authors' repository into this user's cache.

    An interrupted download is resumed, and the file is checked by its SHA-256.
    """
    from calibration.weights.download import fetch

    _print(registered(name), fetch(name), as_json)


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List the weights in rtdecode, and the published weights with their local path."""
    from rich.console import Console
    from rich.table import Column, Table

    from calibration.weights.store import cache_folder, describe

    folder = cache_folder()
    found = {name: folder / f"{name}.safetensors" for name in PUBLISHED}
    if as_json:
        embedded_entries = [_embedded_summary(name) for name in EMBEDDED]
        entries = [_summary(PUBLISHED[n], p, p.is_file()) for n, p in found.items()]
        typer.echo(json.dumps(entries + embedded_entries))
        return
    table = Table(Column("name", no_wrap=True), "grid", "states", "here", "source")
    for name, path in found.items():
        entry = PUBLISHED[name]
        grid = "x".join(map(str, entry.grid_shape))
        here = str(path) if path.is_file() else f"no: rtdecode weights fetch {name}"
        table.add_row(name, grid, str(len(entry.states)), here, entry.citation)
    for name in EMBEDDED:
        about = describe(embedded(name))
        grid = "x".join(map(str, about.grid_shape))
        table.add_row(name, grid, str(len(about.states)), "shipped", "simulated people only")
    console = Console()
    console.print(table)
    for name in EMBEDDED:
        console.print(f"{name}: its card is {embedded(name).with_suffix('.md')}", highlight=False)
    for entry in PUBLISHED.values():
        console.print(f"{entry.name}: {entry.licence}", highlight=False)


def _print(entry: Published, path: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_summary(entry, path, True)))
    else:
        typer.echo(f"{entry.name} is in {path}")


def _embedded_summary(name: str) -> dict[str, object]:
    from calibration.weights.store import describe

    about = describe(embedded(name))
    return {
        "name": name,
        "here": True,
        "path": str(embedded(name)),
        "grid_shape": about.grid_shape,
        "states": about.states,
        "sha256": hashlib.sha256(embedded(name).read_bytes()).hexdigest(),
        "card": str(embedded(name).with_suffix(".md")),
        "licence": "BSD-3-Clause, as rtdecode itself",
    }


def _summary(entry: Published, path: Path, here: bool) -> dict[str, object]:
    return {
        "name": entry.name,
        "here": here,
        "path": str(path),
        "grid_shape": entry.grid_shape,
        "states": entry.states,
        "sha256": entry.sha256,
        "url": entry.url,
        "licence": entry.licence,
    }
