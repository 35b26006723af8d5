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
        str | None, typer.Argument(help="The remark of mark, or the trial type of event.")
    ] = None,
    onset_s: Annotated[
        float | None,
        typer.Option(
            help="For event: seconds since the start of the run's first volume. [default: now]"
        ),
    ] = None,
    duration_s: Annotated[float | None, typer.Option(help="For event: duration, seconds.")] = None,
    session: Annotated[
        Path | None, typer.Option(help="The session's folder, which names the service's endpoints.")
    ] = None,
    endpoint: Annotated[
        str, typer.Option("--control", help="Without --session: endpoint for requests.")
    ] = CONTROL,
    keys: ClientKeys = None,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Start, end, pause or resume a run, add remarks and events to its record, or ask its status.

    During a pause, volumes are recorded and update the statistics, but none gets a decision.

    Example: rtdecode control --session sub-01_run-1 mark "the participant coughed"

    Example: rtdecode control event faces --onset-s 12.5 --duration-s 15
    """
    import msgspec

    from rtdecode.client import Control, session_endpoints

    if (text is None) == (action in {"mark", "event"}):
        raise ConfigError(
            "mark needs a remark and event needs a trial type; the other actions take no text"
        )
    if action != "event" and not onset_s is duration_s is None:
        raise ConfigError("--onset-s and --duration-s are only for event")
    if session is not None:
        endpoint = session_endpoints(session)["control"]
    with Control(endpoint, keys=keys) as service:
        if action == "status":
            status = service.status()
            message = (
                f"run {status.run} {status.state}: {status.decisions} decisions, {status.skipped} "
                f"skipped; {status.objects} objects, {status.unreadable} unreadable, "
                f"{status.left_out} left out, {status.conflicts} in conflict"
            )
            answer = msgspec.to_builtins(status)
            message += f"\n{status.detail}" if status.detail else ""
        else:
            if text is None:
                message = getattr(service, action)()
            elif action == "event":
                message = service.event(text, onset_s, duration_s)
            else:
                message = service.mark(text)
            answer = {"done": message}
    typer.echo(msgspec.json.encode(answer) if json else message)
