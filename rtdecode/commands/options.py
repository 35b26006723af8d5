"""Options of all commands that connect to a service."""

from pathlib import Path
from typing import Annotated

import typer

OutcomesEndpoint = Annotated[str, typer.Option(help="Without --session: endpoint of the outcomes.")]
ControlEndpoint = Annotated[str, typer.Option(help="Without --session: endpoint for requests.")]
ClientKeys = Annotated[
    Path | None,
    typer.Option(
        help="Folder or .key_secret file of this client's keys, if the service requires keys."
    ),
]
