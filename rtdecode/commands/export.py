"""`rtdecode export`."""

from pathlib import Path
from typing import Annotated

import typer

from rtdecode.errors import ConfigError, RunError


def export(
    session: Annotated[Path, typer.Argument(help="The recorded session's folder.")],
    bids: Annotated[
        Path | None,
        typer.Option(
            help="Write decisions, confounds, events and the report into this BIDS derivative: a "
            "new folder, or one that rtdecode wrote."
        ),
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="For --bids: sub-. [default: from the folder's name]")
    ] = None,
    session_label: Annotated[
        str | None,
        typer.Option(help="For --bids: ses-. [default: from the folder's name, or none]"),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="For --bids: task-. [default: from the folder's name, or nf]")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            help="For --bids: run- of the session's first run. [default: from the folder's name, "
            "or 1]"
        ),
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option(
            help="For --bids: a BIDS events file for each run in order, instead of the events that "
            "the stimulus program reported."
        ),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="For --bids: where the bundle is, if it was moved.")
    ] = None,
    deidentify: Annotated[
        bool,
        typer.Option(
            "--deidentify",
            help="Copy the session to --out, without data that identify the participant.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="For --deidentify: folder of the copy; it must not exist yet."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Write a session's decisions as a BIDS derivative with a report, or an anonymous copy of it.

    With --bids: tables of the decisions and a report; also while the session is served.

    With --deidentify --out: a copy with the raw objects that replays to the same outcomes.

    Example: rtdecode export sub-01_run-1 --bids derivatives/rtdecode --events events.tsv

    Example: rtdecode export sub-01_run-1 --deidentify --out shared/run-1
    """
    import msgspec

    _check(session, bids, out, deidentify=deidentify)
    if bids is None and any((subject, session_label, task, run, events, bundle)):
        raise ConfigError(
            "--subject, --session-label, --task, --run, --events and --bundle are for --bids"
        )
    output: dict[str, object] = {}
    if out is not None:
        from rtdecode.export.session_copy import export_session

        copied = export_session(session, out)
        output |= msgspec.to_builtins(copied, enc_hook=str)
        if not json:
            typer.echo(
                f"wrote {out}: {copied.runs} runs, {copied.objects} objects, "
                f"{copied.outcomes} outcomes\nleft out: {copied.left_out} objects of no "
                f"volume, {copied.marks_left_out} remarks, {copied.notices_left_out} notices"
                "\ndates, names, identifiers, old UIDs and file names are removed; times of day "
                "and the images of the brain are not\n"
                f"check it: rtdecode serve --bundle BUNDLE --source recording:{out}"
            )
    if bids is not None:
        from rtdecode.record import labels_of, write_record

        labels = labels_of(session, subject, session_label, task, run)
        try:
            written = write_record(session, bids, labels, events or (), bundle)
        except OSError as error:
            raise RunError(f"{bids} cannot be written: {error}; make room and try again") from error
        output["bids"] = msgspec.to_builtins(written, enc_hook=str)
        if not json:
            typer.echo(
                f"wrote {written.files} files of {written.runs} runs, with {written.events} events,"
                f" into {bids}\nreport {written.report}"
            )
            if written.events_without_onset:
                typer.echo(
                    f"left out: {written.events_without_onset} events that were reported without "
                    "an onset while no volume arrived"
                )
    if json:
        typer.echo(msgspec.json.encode(output))


def _check(session: Path, bids: Path | None, out: Path | None, *, deidentify: bool) -> None:
    """Refuse a command without a target or with an incomplete one."""
    if bids is None and out is None and not deidentify:
        raise ConfigError(
            "choose what to export: --bids FOLDER for tables and a report, --deidentify --out "
            "FOLDER for a copy of the session to share"
        )
    if deidentify and out is None:
        raise ConfigError("--deidentify needs --out, the copy's folder")
    if out is not None and not deidentify:
        raise ConfigError(
            "--out makes an anonymous copy to share: add --deidentify (for a complete copy, copy "
            f"the folder {session})"
        )
