"""`rtdecode demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    seed: Annotated[
        int, typer.Option(help="Seed of the simulated participant and noise.", min=0)
    ] = 1,
    speed: Annotated[
        str, typer.Option(help="Speed of the feedback run: 1 (real time), 10 or max.")
    ] = "10",
    keep: Annotated[
        Path | None, typer.Option(help="Keep the files (DICOM, decoder, record) in this folder.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Demonstrate the whole system on a simulated participant, in about two minutes.

    Needs no download, no GPU and no scanner. It simulates a participant's
    DICOM series, calibrates the small network shipped with rtdecode, serves it, and shows the
    decisions next to the true states.

    Example: rtdecode demo --keep demo/
    """
    import msgspec
    from rich.console import Console

    from calibration.demo import DemoSettings
    from calibration.demo import run as run_demo
    from rtdecode.player import parse_speed

    settings = DemoSettings(seed=seed, speed=parse_speed(speed), keep=keep)
    report = run_demo(settings, Console(stderr=json))
    if json:
        typer.echo(msgspec.json.encode(report))
