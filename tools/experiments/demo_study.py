#!/usr/bin/env python3
"""Make the study of simulated people that the demo's participant comes after.

  demo_study.py --work FOLDER --out calibration/demo/simulated_people.safetensors

The people are drawn from the demo's population with other seeds. Each is scanned and calibrated as
in the demo, then `rtdecode group` makes the study. People whose registration
fails are left out and named. Some 40 seconds a person on one core. Started
again, it continues; several processes can share the people with --first and --last.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from calibration.calibration_settings import CalibrationSettings
from calibration.compute import one_thread
from calibration.decoders.fit import FittingSettings
from calibration.demo.run_demo import WEIGHTS
from calibration.demo.scan import ScanSettings, scan, write
from calibration.progress import bars, silent
from calibration.recipe import calibrate
from calibration.simulation import load_template
from calibration.weights.pretrained import load_pretrained
from rtdecode.dicom import assemble
from rtdecode.errors import RunError

FIRST_SEED = 900_000
"""The demo uses multiples of 1,000 from 1,000 on."""
N_PEOPLE = 12


def make_person(number: int, work: Path, console: Console) -> None:
    """Scan and calibrate one person, unless the bundle exists; say if the registration fails."""
    out = work / f"simulated-{number:02d}.bundle"
    if out.exists():
        return
    run, _ = scan(load_template(), ScanSettings(), FIRST_SEED + number)
    settings = CalibrationSettings(
        out.name, quick_registration=True, fitting=FittingSettings(permutations=100)
    )
    with tempfile.TemporaryDirectory() as folder:
        volumes = assemble([write(run, Path(folder), silent)])
        events = [Path(folder) / "events.tsv"]
        try:
            calibrate([volumes], load_pretrained(WEIGHTS), events, out, settings)
        except RunError as error:
            console.print(f"person {number} is left out: {error}")


def main() -> None:
    """Make the people that are missing, and the study if all are there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder of scans and bundles")
    parser.add_argument("--out", type=Path, help="the study to write")
    parser.add_argument("--first", type=int, default=0, help="first person of this process (0)")
    parser.add_argument("--last", type=int, default=N_PEOPLE - 1, help="last person (11)")
    options = parser.parse_args()
    console = Console()
    with bars(console) as progress, one_thread():
        numbers = range(options.first, options.last + 1)
        for done, number in enumerate(numbers):
            progress("simulated people", done, len(numbers))
            make_person(number, options.work, console)
        progress("simulated people", len(numbers), len(numbers))
    if options.out is not None:
        bundles = sorted(map(str, options.work.glob("simulated-*.bundle")))
        command = [sys.executable, "-m", "rtdecode", "group", *bundles, "--out", str(options.out)]
        subprocess.run(command, check=True)  # noqa: S603 - our own command


if __name__ == "__main__":
    main()
