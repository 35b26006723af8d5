"""`rtdecode control`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from rtdecode.client.endpoints import CONTROL
from rtdecode.client.options import ClientKeys
from rtdecode.errors import ConfigError


def control(
    action: Annotated[
        Literal["start", "end", "pause", "resume", "mark", "status", "shutdown"],
        typer.Argument(help="What to do."),
    ],
    text: Annotated[str | None, typer.Argument(help="The remark, for mark.")] = None,
    session: Annotated[
        Path | None, typer.Option(help="Find the service by its session folder.")
    ] = None,
    endpoint: Annotated[str, typer.Option("--control", help="The service's control.")] = CONTROL,
    keys: ClientKeys = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Start, end, pause or resume a run; put a remark into its record; ask how it stands.

    In a pause volumes are recorded and keep the statistics going, and none has a decision.

    Example: rtdecode control --session sub-01_run-1 mark "the participant coughed"
    """
    import msgspec

    from rtdecode.client import Control, session_endpoints

    if (text is None) == (action == "mark"):
        raise ConfigError("mark needs the remark's text, and nothing else takes one")
    if session is not None:
        endpoint = session_endpoints(session)["control"]
    with Control(endpoint, keys=keys) as service:
        if action == "status":
            status = service.status()
            told = (
                f"run {status.run} {status.state}: {status.decisions} decisions, {status.skipped} "
                f"skipped; {status.objects} objects, {status.unreadable} unreadable, "
                f"{status.left_out} left out, {status.conflicts} in conflict"
            )
            answer = msgspec.to_builtins(status)
            told += f"\n{status.detail}" if status.detail else ""
        else:
            told = service.mark(text) if text is not None else getattr(service, action)()
            answer = {"done": told}
    typer.echo(msgspec.json.encode(answer) if json else told)
