"""`rtdecode calibrate`: from a labelled run to a decoder bundle."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rtdecode.errors import ConfigError


def calibrate(
    run: Annotated[
        Path, typer.Option(help="The calibration run: a folder (or file) of DICOM images.")
    ],
    out: Annotated[Path, typer.Option(help="The bundle to write: a folder that does not exist.")],
    events: Annotated[
        Path | None, typer.Option(help="BIDS events.tsv of the run (onset, duration, trial_type).")
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="Pretrained weights: a name from `rtdecode weights list`, or a file."),
    ] = "deeplight-2d",
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Keep the pretrained states; needs no events.")
    ] = False,
    t1: Annotated[
        Path | None, typer.Option(help="The subject's T1-weighted image, NIfTI, if there is one.")
    ] = None,
    transform: Annotated[
        Path | None, typer.Option(help="EPI-to-MNI transform you already have (ITK or FSL).")
    ] = None,
    window_s: Annotated[float, typer.Option(help="Decision window, seconds.", min=0.1)] = 8.0,
    lag_s: Annotated[float, typer.Option(help="Haemodynamic lag, seconds.", min=0.0)] = 5.0,
    overlay: Annotated[
        Path | None, typer.Option(help="Picture of the registration [default: beside the bundle].")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compile a decoder for one person from a calibration run.

    With events, the network's output layer is fitted to this person; with --zero-shot the
    pretrained states are kept. Look at the overlay picture before you use the bundle.

    Example: rtdecode calibrate --run dicom/ --zero-shot --weights deeplight-2d --out bundle/
    """
    if zero_shot == (events is not None):
        raise ConfigError("give either --events FILE (fit to this person) or --zero-shot, not both")

    import msgspec

    from calibration.progress import bars
    from calibration.recipe import CalibrationSettings, load_pretrained
    from calibration.recipe import calibrate as compile_decoder
    from calibration.registration import overlay as draw
    from rtdecode.dicom import assemble

    console = Console(stderr=True)
    pretrained = load_pretrained(weights)
    settings = CalibrationSettings(
        name=out.name, window_s=window_s, haemodynamic_lag_s=lag_s, t1=t1, transform=transform
    )
    picture = overlay or out.with_name(f"{out.name}-overlay.png")
    with bars(console) as progress:
        progress("read the run", 0, 1)
        volumes = assemble([run])
        progress("read the run", 1, 1)
        result = compile_decoder(volumes, pretrained, events, out, settings, progress)
        draw(result.registration, picture)
    manifest = result.bundle.manifest
    if json:
        typer.echo(msgspec.json.encode(manifest))
        return
    console.print(f"[bold]{out}[/]  {len(manifest.classes)} classes, digest {result.bundle.digest}")
    overlap = manifest.provenance.registration_overlap
    console.print(f"registration: overlap {overlap:.2f}; look at {picture} before you use this")
    for warning in result.registration.warnings:
        console.print(f"[yellow]registration: {warning}")
    if manifest.metrics is None:
        console.print("zero-shot: nothing was fitted, so there is no accuracy to report")
    else:
        m = manifest.metrics
        low, high = m.interval_95_block
        console.print(
            f"held out ({m.split}): blocks {m.balanced_accuracy_block:.0%} "
            f"(95 % {low:.0%}-{high:.0%}, {m.n_blocks} blocks), "
            f"volumes {m.balanced_accuracy_volume:.0%}, chance {m.chance:.0%}; {m.baseline}"
        )


def demo(
    seed: Annotated[int, typer.Option(help="Other people, other noise.", min=0)] = 1,
    people: Annotated[int, typer.Option(help="So many the network learns from.", min=1)] = 5,
    speed: Annotated[
        str, typer.Option(help="Pace of the feedback run: 1 as a scanner's, 10, or max.")
    ] = "10",
    keep: Annotated[
        Path | None, typer.Option(help="Keep the files (DICOM, decoder, record) in this folder.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show the whole chain at work on simulated people, in about two minutes.

    Needs no download, no GPU and no scanner. It pretrains a small network, scans a simulated
    participant as DICOM, calibrates, serves, and shows decisions beside the truth.

    Example: rtdecode demo --keep demo/
    """
    import msgspec

    from calibration.demo import DemoSettings
    from calibration.demo import run as run_demo
    from calibration.demo.group import GroupSettings
    from rtdecode.player import parse_speed

    settings = DemoSettings(
        seed=seed, speed=parse_speed(speed), keep=keep, group=GroupSettings(people=people)
    )
    report = run_demo(settings, Console(stderr=json))
    if json:
        typer.echo(msgspec.json.encode(report))
