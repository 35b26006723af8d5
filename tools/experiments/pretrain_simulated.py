#!/usr/bin/env python3
"""Make the weights that rtdecode ships, `deeplight-2d-4mm-sim`, or weights for a control.

  .venv/bin/python tools/experiments/pretrain_simulated.py --out deeplight-2d-4mm-sim.safetensors

Simulated people do some of many tasks (`calibration/simulation`). The published architecture learns
on a 4 mm grid to tell the tasks apart (`calibration/pretraining`). The weights are written in half
precision. No existing weights are read. It takes less than 90 minutes and 4 GB of memory on two
cores.

Controls: with `--control permuted` the tasks' names are permuted within each person; with
`--control unrelated` people have no pattern in common.
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
from calibration.pretraining.learn import LearningSettings, TrainingStep, learn
from calibration.pretraining.training_cohort import CohortExamples, PretrainingCohort, scan_cohort
from calibration.progress import bars
from calibration.weights import Description, save_deeplight

RECIPE = "tools/experiments/pretrain_simulated.py"
LAYERS = (8, 10, 12)
"""The convolutions whose features a person's decoder may use; chosen on people of other seeds."""
LOG_STEPS = 50
"""Steps between lines of the log."""


def main() -> int:
    """Scan people, learn, and write the weights and the learning curve."""
    options = parse()
    torch.set_num_threads(options.threads)
    console = Console()
    sharing = 0.0 if options.control == "unrelated" else PretrainingCohort().sharing
    cohort = PretrainingCohort(people=options.people, sharing=sharing, seed=options.seed)
    with bars(console) as progress:
        if options.examples is not None and (options.examples / "labels.npz").is_file():
            examples = CohortExamples.load(options.examples)
        else:
            examples = scan_cohort(cohort, progress)
            if options.examples is not None:
                examples.save(options.examples)
        people = len(np.unique(examples.person))
        console.print(
            f"{len(examples.state)} volumes of {people} people, {len(examples.states)} states"
        )
        if options.control == "permuted":
            examples = examples.permute_states(options.seed)
        settings = LearningSettings(
            steps=options.steps, seed=options.seed, bfloat16=options.bfloat16
        )
        log = options.out.with_suffix(".csv")
        with log.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["step", "mixed", "loss", "accuracy", "seconds"])
            recent: list[TrainingStep] = []
            start_s = time.monotonic()

            def log_lesson(lesson: TrainingStep) -> None:
                recent.append(lesson)
                progress("learn", lesson.step, settings.steps)
                if lesson.step % LOG_STEPS == 0:
                    loss, right = np.mean([(each.loss, each.accuracy) for each in recent], axis=0)
                    seconds = time.monotonic() - start_s
                    table.writerow(
                        [lesson.step, lesson.mixed, f"{loss:.3f}", f"{right:.3f}", f"{seconds:.0f}"]
                    )
                    file.flush()
                    recent.clear()

            network = learn(examples, settings, log_lesson, best_device())
    columns, rows, slices = examples.mask.shape
    about = Description(
        grid_shape=(columns, rows, slices),
        states=examples.states,
        source=f"{RECIPE} {asdict(cohort)} {asdict(settings)} {options.control}",
        grid_affine=tuple(tuple(map(float, row)) for row in grid_affine()),
        layers=LAYERS,
        smoothing_fwhm_mm=SMOOTHING_FWHM_MM,
    )
    save_deeplight(network.half(), options.out, about)
    console.print(
        f"{options.out} ({options.out.stat().st_size / 2**20:.2f} MiB), learning curve in {log}"
    )
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    defaults = LearningSettings()
    cohort = PretrainingCohort()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument(
        "--examples", type=Path, help="folder to store and reuse the scanned people"
    )
    parser.add_argument("--people", type=int, default=cohort.people, help="number of people")
    parser.add_argument("--steps", type=int, default=defaults.steps, help="steps of learning")
    parser.add_argument("--seed", type=int, default=1, help="seed of people and learning")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument(
        "--control", choices=("none", "permuted", "unrelated"), default="none", help="see above"
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="faster on processors with AMX and on GPUs"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
