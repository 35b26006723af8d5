"""`rtdecode export`."""

from pathlib import Path
from typing import Annotated

import typer

from rtdecode.errors import ConfigError


def export(
    session: Annotated[Path, typer.Argument(help="The recorded session's folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the copy; it must not exist yet.")],
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Leave out what identifies the participant.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Copy a recorded session to share it: the copy replays to the same outcomes.

    Example: rtdecode export sub-01_run-1 --deidentify --out shared/run-1
    """
    import msgspec

    from rtdecode.export import export_session

    if not deidentify:
        raise ConfigError(
            "export makes copies to share, which must not name anybody: say --deidentify (for a "
            f"copy of everything, copy the folder {session})"
        )
    exported = export_session(session, out)
    if json:
        typer.echo(msgspec.json.encode(msgspec.to_builtins(exported, enc_hook=str)))
        return
    typer.echo(
        f"wrote {out}: {exported.runs} runs, {exported.objects} objects, {exported.outcomes} "
        f"outcomes\nleft out: {exported.left_out} objects that gave to no volume, "
        f"{exported.marks_left_out} remarks\n"
        "dates, names, identifiers, old UIDs and file names are gone; times of day and the brain "
        f"itself are not\ncheck it: rtdecode serve --bundle BUNDLE --source recording:{out}"
    )
