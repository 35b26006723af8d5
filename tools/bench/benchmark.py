#!/usr/bin/env python3
"""Time each step from a volume's DICOM bytes to the subscriber, for three matrix sizes.

The volumes are simulated Siemens mosaics. The network is the published one on its 2 mm grid, with
random weights, which take the same time. Each step is timed alone. Shared machines are noisy:
compare ratios within one run, not milliseconds between runs.

Usage: .venv/bin/python tools/bench/benchmark.py [--sizes 64x64x27] [--calibrate]
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import zmq
from rich.console import Console
from rich.table import Table

from calibration.bundling.compile import export_decoder
from calibration.networks import (
    DeepLight,
    NetworkEvidence,
    ReadOutSettings,
    StreamingDecoder,
)
from calibration.registration import template
from calibration.simulation import (
    EpiProtocol,
    Participant,
    ParticipantSettings,
    RunDesign,
    load_template,
    make_participant,
    simulate_run,
    write_dicom,
)
from calibration.weights import DEEPLIGHT_2D
from calibration_profile import profile
from rtdecode import bundle, dicom
from rtdecode.pipeline import Pipeline
from rtdecode.stages import Preparation, PreparationSettings, Space, dilate
from rtdecode.types import Decision, Outcome, Stamps, Volume
from rtdecode.wire import Numbered, encode, to_message

PROTOCOLS = {
    "64x64x27": EpiProtocol((64, 64, 27), (3.0, 3.0, 4.0)),
    "80x80x35": EpiProtocol((80, 80, 35), (3.0, 3.0, 3.3)),
    "104x90x72": EpiProtocol((104, 90, 72), (2.0, 2.0, 2.0)),
}
Socket: TypeAlias = zmq.Socket[bytes]
STAGES = ("realign", "resample", "smooth", "normalise", "decode")


@dataclass(frozen=True)
class Options:
    """The settings of a measurement."""

    volumes: int
    threads: int
    sizes: tuple[str, ...]


def main() -> int:
    """Time each size, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=40, help="number of volumes per size (40)")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of the network; all other steps use one"
    )
    parser.add_argument(
        "--sizes", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="matrix sizes (all)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    calibration = parser.add_argument_group("calibration")
    calibration.add_argument(
        "--calibrate",
        action="store_true",
        help="time the steps of a calibration instead, from files and during the acquisition",
    )
    calibration.add_argument("--run", type=Path, help="the run's DICOM folder (a simulated run)")
    calibration.add_argument("--events", type=Path, help="the run's BIDS events")
    calibration.add_argument(
        "--weights", default="deeplight-2d-4mm-sim", help="the pretrained weights"
    )
    calibration.add_argument(
        "--speed", type=float, default=1.0, help="pace of the live run, 1 as by the scanner (1)"
    )
    arguments = parser.parse_args()
    if arguments.calibrate:
        with contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext():
            seconds = profile(
                arguments.run, arguments.events, arguments.weights, arguments.speed, Console()
            )
        if arguments.json:
            print(json.dumps({"seconds": seconds}, indent=1))
        return 0
    options = Options(arguments.volumes, arguments.threads, tuple(arguments.sizes))
    timings = {size: time_size(size, options) for size in options.sizes}
    if arguments.json:
        print(json.dumps({"machine": machine(options), "milliseconds": timings}, indent=1))
    else:
        show(timings, options)
    return 0


def time_size(size: str, options: Options) -> dict[str, dict[str, float]]:
    """Return median, 95th percentile and worst of each step, in milliseconds."""
    design = replace(RunDesign(), protocol=PROTOCOLS[size], blocks_per_state=3)
    participant = make_participant(load_template(), ParticipantSettings(), seed=1)
    run = simulate_run(participant, design, seed=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = write_dicom(run, folder / "dicom")[: options.volumes + 20]
        contents = [(path.read_bytes(), path.name) for path in files]
        volumes = dicom.assemble(files)
        pipeline = Pipeline(make_bundle(participant, volumes, folder), "cpu", options.threads)
    pipeline.warm_up()
    steps: dict[str, list[float]] = {name: [] for name in ("parse", *STAGES, "publish", "all")}
    with zmq.Context() as context, context.socket(zmq.XPUB) as sender:
        port = sender.bind_to_random_port("tcp://127.0.0.1")
        with context.socket(zmq.SUB) as receiver:
            receiver.connect(f"tcp://127.0.0.1:{port}")
            receiver.subscribe(b"outcome")
            sender.recv()  # the subscription has arrived
            for (content, name), volume in zip(contents, volumes, strict=True):
                started = time.perf_counter_ns()
                dicom.parse(content, name)
                parsed = time.perf_counter_ns()
                start = time.monotonic_ns()
                outcome = pipeline.step(replace(volume, stamps=Stamps(parsed_ns=start)))
                stepped = time.perf_counter_ns()
                publish(sender, receiver, outcome)
                ended = time.perf_counter_ns()
                if not isinstance(outcome, Decision):
                    continue  # the first volumes, whose statistics are not ready
                steps["parse"].append(parsed - started)
                for stage, ns in zip(STAGES, stage_durations_ns(outcome.stamps), strict=True):
                    steps[stage].append(ns)
                steps["publish"].append(ended - stepped)
                steps["all"].append(ended - started)
    return {name: summary(values) for name, values in steps.items()}


def stage_durations_ns(stamps: Stamps) -> list[int]:
    """Return the duration of each of `STAGES`, in nanoseconds."""
    ends = [stamps.parsed_ns, stamps.realigned_ns, stamps.resampled_ns, stamps.smoothed_ns]
    ends += [stamps.normalised_ns, stamps.decided_ns]
    return np.diff(ends).tolist()


def publish(sender: Socket, receiver: Socket, outcome: Outcome) -> None:
    """Send an outcome and wait until the subscriber has it."""
    sender.send_multipart([b"outcome", encode(to_message(Numbered("benchmark", 1, 0, outcome)))])
    receiver.recv_multipart()


def summary(nanoseconds: list[float]) -> dict[str, float]:
    """Return the figures of one step, in milliseconds."""
    ms = np.array(nanoseconds) / 1e6
    return {
        "median": round(float(np.median(ms)), 2),
        "p95": round(float(np.percentile(ms, 95)), 2),
        "max": round(float(ms.max()), 2),
    }


def make_bundle(participant: Participant, volumes: Sequence[Volume], folder: Path) -> bundle.Bundle:
    """Compile a decoder of the published network's shape with the participant's true anatomy."""
    shape, affine = DEEPLIGHT_2D.grid_shape, np.array(DEEPLIGHT_2D.affine)
    mask = template.on_grid(shape, affine).mask
    centres = np.argwhere(dilate(mask)) @ affine[:3, :3].T + affine[:3, 3]
    head = participant.deformation.from_mni(centres.T)
    scanner = participant.pose[:3, :3] @ head + participant.pose[:3, 3:]
    space = Space(volumes[0].data, volumes[0].affine, mask, affine, scanner.T.astype(np.float32))
    preparation = PreparationSettings(repetition_time_s=volumes[0].repetition_time_s)
    decoder = StreamingDecoder(NetworkEvidence(DeepLight(shape), mask), ReadOutSettings(8))
    export = export_decoder(decoder, DEEPLIGHT_2D.states, folder / "decoder.onnx")
    manifest = bundle.Manifest(
        name="benchmark",
        classes=DEEPLIGHT_2D.states,
        repetition_time_s=volumes[0].repetition_time_s,
        kind="zero-shot",
        rule="",
        window_volumes=8,
        temperature=1.0,
        fast_retention=decoder.settings.fast_retention,
        none_threshold=0.0,
        haemodynamic_lag_s=5.0,
        source_shape=volumes[0].data.shape,
        model_shape=shape,
        model_affine=DEEPLIGHT_2D.affine,
        preparation=preparation,
        state=export.state,
        parity={},
        provenance=bundle.Provenance("", "random", "", "true", 1.0, 0, 0, 0, ""),
    )
    initial = Preparation(space, preparation).initial_state()
    state = {f"preparation/{name}": array for name, array in initial.items()}
    return bundle.write(folder / "bundle", manifest, export.path, space, state)


def machine(options: Options) -> dict[str, object]:
    """Return the properties of the machine and of the measurement."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_average_1_min": round(load, 2),
        "python": platform.python_version(),
        "threads_network": options.threads,
        "threads_stages": 1,
        "volumes": options.volumes,
    }


def show(timings: dict[str, dict[str, dict[str, float]]], options: Options) -> None:
    """Print a table with one row per step and one column per matrix size."""
    caption = ", ".join(f"{name} {value}" for name, value in machine(options).items())
    table = Table(title="milliseconds per volume, median / p95", caption=caption)
    table.add_column("step")
    for size in timings:
        table.add_column(size, justify="right")
    for step in next(iter(timings.values())):
        row = [f"{timings[s][step]['median']:.1f} / {timings[s][step]['p95']:.1f}" for s in timings]
        table.add_row(step, *row, end_section=step == "publish")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
