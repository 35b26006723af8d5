"""`rtdecode simulate`: simulated people, as DICOM files and BIDS events."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Design(StrEnum):
    """Design of the runs."""

    BLOCK = "block"
    EVENT = "event"


class VendorChoice(StrEnum):
    """The manufacturer whose file format is written."""

    SIEMENS = "siemens"
    SIEMENS_XA = "siemens-xa"
    GE = "ge"
    PHILIPS = "philips"


def simulate(
    out: Annotated[Path, typer.Option(help="Output folder, new or empty.")],
    subjects: Annotated[int, typer.Option(help="Number of people.", min=1)] = 5,
    states: Annotated[
        int,
        typer.Option(
            help="Number of states. Up to 4 they are left_hand, right_hand, faces and places; "
            "further ones are drawn from a dictionary of regions.",
            min=1,
        ),
    ] = 4,
    minutes: Annotated[float, typer.Option(help="Maximum length of each run.")] = 6.0,
    runs: Annotated[int, typer.Option(help="Number of runs of each person.", min=1)] = 2,
    tr: Annotated[float, typer.Option(help="Repetition time, seconds.")] = 1.0,
    design: Annotated[
        Design, typer.Option(help="block: 12 s each; event: 2 s each, with pauses of 6 to 12 s.")
    ] = Design.BLOCK,
    vendor: Annotated[
        VendorChoice,
        typer.Option(
            help="siemens: mosaics; siemens-xa: enhanced objects; ge, philips: one file per slice."
        ),
    ] = VendorChoice.SIEMENS,
    seed: Annotated[
        int, typer.Option(help="A different seed simulates different people and noise.", min=0)
    ] = 1,
) -> None:
    """Write sessions of simulated people: DICOM as a scanner exports it, and BIDS events.

    Each person has individual anatomy, activity, haemodynamics, noise and movements. One seed
    determines all of them; simulation.json records the settings.

    Example: rtdecode simulate --out cohort --subjects 1
    then: rtdecode calibrate --run cohort/sub-01/run-1/dicom --events cohort/sub-01/run-1/events.tsv
    --weights deeplight-2d-4mm-sim --out sub-01.bundle
    """
    from rich.console import Console

    from calibration.progress import bars
    from calibration.simulation.cohort import CohortSettings, write_cohort

    settings = CohortSettings(subjects, states, minutes, runs, tr, design.value, vendor.value, seed)
    console = Console(stderr=True)
    with bars(console) as progress:
        cohort = write_cohort(settings, out, progress)
    first = cohort[0]
    console.print(
        f"{out}: {len(cohort)} runs of {first.volumes} volumes, {subjects} people, {states} states"
    )
    console.print(
        f"next: rtdecode calibrate --run {first.dicom} --events {first.events} "
        f"--weights deeplight-2d-4mm-sim --out {first.subject}.bundle",
        soft_wrap=True,
    )
