"""`rtdecode control`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from rtdecode.commands.options import ClientKeys
from rtdecode.errors import ConfigError
from rtdecode.ports import CONTROL


def control(
    action: Annotated[
        Literal["start", "end", "pause", "resume", "mark", "event", "status", "shutdown"],
        typer.Argument(help="What to do."),
    ],
    text: Annotated[
        str | None, typer.Argument(help="For mark the remark, for event the trial type.")
    ] = None,
    onset_s: Annotated[
        float | None,
        typer.Option(help="For event: seconds since the run's first volume began. [default: now]"),
    ] = None,
    duration_s: Annotated[float | None, typer.Option(help="For event: seconds.")] = None,
    session: Annotated[
        Path | None, typer.Option(help="Find the service by its session folder.")
    ] = None,
    endpoint: Annotated[str, typer.Option("--control", help="The service's control.")] = CONTROL,
    keys: ClientKeys = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Start, end, pause or resume a run; put remarks and events into its record; ask how it stands.

    In a pause volumes are recorded and keep the statistics going, and none has a decision.

    Example: rtdecode control --session sub-01_run-1 mark "the participant coughed"

    Example: rtdecode control event faces --onset-s 12.5 --duration-s 15
    """
    import msgspec

    from rtdecode.client import Control, session_endpoints

    if (text is None) == (action in {"mark", "event"}):
        raise ConfigError(
            "mark needs the remark's text, event its trial type, and nothing else takes one"
        )
    if action != "event" and not onset_s is duration_s is None:
        raise ConfigError("--onset-s and --duration-s are for event")
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
            if text is None:
                told = getattr(service, action)()
            elif action == "event":
                told = service.event(text, onset_s, duration_s)
            else:
                told = service.mark(text)
            answer = {"done": told}
    typer.echo(msgspec.json.encode(answer) if json else told)
