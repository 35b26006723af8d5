#!/usr/bin/env python3
"""The recipe of the weights that rtdecode ships, `deeplight-2d-4mm-sim`, from top to bottom.

Simulated people do some of many tasks (`calibration/simulation`); the published architecture learns
on a 4 mm grid to tell the tasks apart (`calibration/pretraining`); weights are written in half
precision. No weights of anybody's are read. Under 90 minutes and 4 GB of memory on two cores.

  tools/experiments/pretrain_simulated.py --out deeplight-2d-4mm-sim.safetensors
  tools/experiments/pretrain_simulated.py --out control.safetensors --control permuted   nobody's names agree
  tools/experiments/pretrain_simulated.py --out control.safetensors --control unrelated  no pattern is shared

--examples FOLDER keeps the scanned people, and takes those that are there already.
"""

import argparse
import csv
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from calibration.compute import best_device
from calibration.pretraining.grid import SMOOTHING_FWHM_MM, grid_affine
from calibration.pretraining.learn import LearningSettings, Lesson, learn
from calibration.pretraining.training_cohort import CohortExamples, PretrainingCohort, scan_cohort
from calibration.progress import bars
from calibration.weights import Description, save_deeplight

LAYERS = (8, 10, 12)
"""What a person's head may read; chosen on people of other seeds."""
EVERY = 50
"""Steps to a line of the log."""


def main() -> int:
    """Scan, learn, write."""
    given = parse()
    torch.set_num_threads(given.threads)
    console = Console()
    sharing = 0.0 if given.control == "unrelated" else PretrainingCohort().sharing
    cohort = PretrainingCohort(people=given.people, sharing=sharing, seed=given.seed)
    with bars(console) as progress:
        if given.examples is not None and (given.examples / "labels.npz").is_file():
            examples = CohortExamples.load(given.examples)
        else:
            examples = scan_cohort(cohort, progress)
            if given.examples is not None:
                examples.save(given.examples)
        said = f"{len(examples.state)} volumes of {len(np.unique(examples.person))} people"
        console.print(f"{said}, {len(examples.states)} states")
        if given.control == "permuted":
            examples = examples.permuted(given.seed)
        settings = LearningSettings(steps=given.steps, seed=given.seed, bfloat16=given.bfloat16)
        log = given.out.with_suffix(".csv")
        with log.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["step", "mixed", "loss", "accuracy", "seconds"])
            recent: list[Lesson] = []
            start_s = time.monotonic()

            def told(lesson: Lesson) -> None:
                recent.append(lesson)
                progress("learn", lesson.step, settings.steps)
                if lesson.step % EVERY == 0:
                    loss, right = np.mean([(each.loss, each.accuracy) for each in recent], axis=0)
                    seconds = time.monotonic() - start_s
                    table.writerow(
                        [lesson.step, lesson.mixed, f"{loss:.3f}", f"{right:.3f}", f"{seconds:.0f}"]
                    )
                    file.flush()
                    recent.clear()

            network = learn(examples, settings, told, best_device())
    columns, rows, slices = examples.mask.shape
    about = Description(
        grid_shape=(columns, rows, slices),
        states=examples.states,
        source=f"tools/experiments/pretrain_simulated.py {asdict(cohort)} {asdict(settings)} {given.control}",
        grid_affine=tuple(tuple(map(float, row)) for row in grid_affine()),
        layers=LAYERS,
        smoothing_fwhm_mm=SMOOTHING_FWHM_MM,
    )
    save_deeplight(network.half(), given.out, about)
    console.print(f"{given.out} ({given.out.stat().st_size / 2**20:.2f} MiB), its curve in {log}")
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    plain = LearningSettings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors to write")
    parser.add_argument("--examples", type=Path, help="folder for the scanned people")
    parser.add_argument("--people", type=int, default=PretrainingCohort().people)
    parser.add_argument("--steps", type=int, default=plain.steps)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--control", choices=("none", "permuted", "unrelated"), default="none")
    parser.add_argument(
        "--bfloat16", action="store_true", help="faster on processors with AMX, and on GPUs"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
