"""`rtdecode check`."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from rtdecode.ports import CONTROL, INGEST, OUTCOMES

STIMULUS_S = 60.0


def check(
    bundle: Annotated[Path, typer.Option(help="The decoder: a folder from `rtdecode calibrate`.")],
    source: Annotated[
        str,
        typer.Option(
            help="Where volumes will come from: folder:PATH, dicom://HOST:PORT?aet=TITLE&from="
            "TITLE,TITLE, zmq:, pyneal://HOST:PORT or recording:PATH."
        ),
    ],
    session: Annotated[
        Path | None,
        typer.Option(help="Folder of the session's record. [default: sessions/DATE-TIME]"),
    ] = None,
    provider: Annotated[
        Literal["cpu", "cuda", "auto"], typer.Option(help="Where the network runs.")
    ] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads of the network.", min=1)] = 1,
    outcomes: Annotated[str, typer.Option(help="Endpoint of the outcomes.")] = OUTCOMES,
    control: Annotated[str, typer.Option(help="Endpoint for requests.")] = CONTROL,
    ingest: Annotated[
        str, typer.Option(help="Endpoint for pushed objects (source zmq:).")
    ] = INGEST,
    keys: Annotated[Path | None, typer.Option(help="Folder of the service's keys.")] = None,
    minutes: Annotated[
        float,
        typer.Option(help="Planned scanning time, minutes: is the disk large enough?", min=0),
    ] = 60.0,
    stimulus: Annotated[
        bool,
        typer.Option("--stimulus", help="Wait for the stimulus program and test the link to it."),
    ] = False,
    wait_s: Annotated[
        float, typer.Option(help="Waiting time of --stimulus, seconds.", min=0)
    ] = STIMULUS_S,
    series: Annotated[
        list[Path] | None,
        typer.Option(help="A test scan to compare with the bundle: its folder or files."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check everything that a session needs, before the participant enters.

    Give it the same settings as rtdecode serve. It leaves no files.

    The exit code is 0 if nothing is red, else 1.

    Example: rtdecode check --bundle bundle/ --source folder:/mnt/scanner --stimulus
    """
    import msgspec
    from rich.console import Console

    from rtdecode.check import SessionPlan, ready, run_all_checks
    from rtdecode.check.table import render
    from rtdecode.service import ServiceSettings

    settings = ServiceSettings(
        session=session or Path("sessions") / time.strftime("%Y%m%d-%H%M%S"),
        source=source,
        outcomes=outcomes,
        control=control,
        ingest=ingest,
        provider=provider,
        threads=threads,
        bundle=bundle,
        keys=keys,
    )
    plan = SessionPlan(
        settings, bundle, provider, minutes, wait_s if stimulus else None, tuple(series or ())
    )
    console = Console(stderr=True)
    with console.status("") as spinner:

        def begin(name: str) -> None:
            spinner.update(f"checking: {name} ...")

        def announce(text: str) -> None:
            console.print(text, style="bold", highlight=False)
            spinner.update("waiting for the stimulus program ...")

        findings = run_all_checks(plan, begin, announce)
    if json:
        typer.echo(msgspec.json.encode({"ready": ready(findings), "findings": findings}))
    else:
        shown = Console()
        shown.print(render(findings, shown.width), highlight=False)
    raise typer.Exit(0 if ready(findings) else 1)
