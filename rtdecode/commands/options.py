"""Options that every command with a client of the service has."""

from pathlib import Path
from typing import Annotated

import typer

ClientKeys = Annotated[
    Path | None, typer.Option(help="Folder of this client's keys, or its .key_secret file.")
]
