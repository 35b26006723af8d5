"""`rtdecode display`."""

from pathlib import Path
from typing import Annotated

import typer

from rtdecode.commands.options import ClientKeys
from rtdecode.errors import ConfigError

PORT = 7820

app = typer.Typer(
    invoke_without_command=True,
    help="Show feedback to the participant: a full-screen page, served by a separate process.\n\n"
    "Open the address that it prints in a browser on the projector's screen and press f. Ctrl-C "
    "ends the display, not the session.\n\n"
    "Example: rtdecode display --session sub-01_run-1 --protocol feedback.toml",
)


@app.callback()
def display(
    context: typer.Context,
    session: Annotated[
        Path | None,
        typer.Option(help="The session's folder; the record of the display is written there."),
    ] = None,
    protocol: Annotated[
        Path | None, typer.Option(help="The settings: TOML or JSON, see docs/display.md.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the page on this computer.", min=0)] = PORT,
    code: Annotated[
        str | None,
        typer.Option(help="The participant's code in the randomisation table, if there is one."),
    ] = None,
    recorded: Annotated[
        Path | None,
        typer.Option(
            help="The recorded session for sham feedback; required with a table, in every arm."
        ),
    ] = None,
    keys: ClientKeys = None,
) -> None:
    """Show feedback to the participant."""
    if context.invoked_subcommand is not None:
        return
    if session is None or protocol is None:
        raise typer.BadParameter("give --session and --protocol")
    from threading import Event

    from rtdecode.display.run_display import show
    from rtdecode.feedback import RecordedDecisions, read_assignment, read_recordings, read_settings
    from rtdecode.signals import stopped_by_signals

    settings = read_settings(protocol)
    is_blinded = settings.sham is not None
    if is_blinded != (code is not None) or is_blinded != (recorded is not None):
        raise ConfigError(
            "give --code and --recorded if the settings have `sham`, in every arm, and only then"
        )
    arm = None
    recordings: tuple[RecordedDecisions, ...] = ()
    if settings.sham is not None and code is not None and recorded is not None:
        arm, recordings = read_assignment(settings.sham, code), read_recordings(recorded)
    stop = Event()
    with stopped_by_signals(stop):
        show(
            session,
            settings,
            port,
            stop,
            lambda text: typer.echo(text, err=True),
            assignment=arm,
            recordings=recordings,
            keys=keys,
        )


@app.command()
def randomise(
    participants: Annotated[int, typer.Option(help="Number of participants.", min=1)],
    out: Annotated[Path, typer.Option(help="The table to write: participant and arm code.")],
    key: Annotated[
        Path | None,
        typer.Option(
            help="The key of the codes to write. [default: the table's name with .key.json]"
        ),
    ] = None,
    arms: Annotated[str, typer.Option(help="Arms: any of real, yoked, shuffled.")] = "real,yoked",
    block: Annotated[
        int,
        typer.Option(help="Participants in a block; a block has each arm equally often.", min=1),
    ] = 4,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the assignment; keep it as secret as the key.", min=0),
    ] = None,
) -> None:
    """Assign participants at random to real and sham feedback.

    The person who uses this command must not run sessions, and those who run sessions must not see
    the key.

    Example: rtdecode display randomise --participants 40 --arms real,yoked --out table.tsv
    """
    from rtdecode.feedback import Blinding, write_assignment
    from rtdecode.feedback import randomise as draw

    rows, meaning = draw(participants, tuple(arms.split(",")), block, seed)  # type: ignore[arg-type]
    files = Blinding(out, key or out.with_suffix(".key.json"))
    write_assignment(rows, meaning, files)
    typer.echo(
        f"{len(rows)} participants in {files.table}; the meaning of the codes is in {files.key}"
    )


@app.command()
def unblind(
    session: Annotated[Path, typer.Option(help="The session's folder.")],
    key: Annotated[Path, typer.Option(help="The study's key.")],
    out: Annotated[
        Path, typer.Option(help="The decrypted record to write, one line of JSON for each frame.")
    ],
) -> None:
    """Show which feedback a participant had, and decrypt its record.

    Example: rtdecode display unblind --session sub-01_run-1 --key table.key.json --out shown.jsonl
    """
    import msgspec

    from rtdecode.display.display_log import read_displayed
    from rtdecode.feedback import read_key

    lines = list(read_displayed(session, read_key(key)))
    arms = {line.shown.arm for line in lines if line.shown is not None}
    try:
        with out.open("xb") as file:
            file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror}") from error
    typer.echo(f"feedback was {' and '.join(sorted(arms))}; {len(lines)} lines in {out}")
