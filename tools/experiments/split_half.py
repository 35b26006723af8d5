#!/usr/bin/env python3
"""Calibrate on one half of a real run's blocks, replay the run through the service, score the other.

Both ways round, so that each block is decoded by a decoder that never saw its half. In one table:
the decisions as the service published them, then what the compiled decoder said of each served
volume and what every candidate and baseline, fitted to the same half, said of the same volumes,
each read out by a window and by a filter whose settings were fitted to the other blocks. One run
has few blocks: read the intervals.

  tools/experiments/split_half.py --run DICOM_FOLDER --events events.tsv
  tools/experiments/split_half.py --run DICOM_FOLDER --events events.tsv --classes face+body:people,house+scene:places
"""  # noqa: E501 - a command to copy stays on one line

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from calibration.bundling.write_bundle.compile import export_decoder

from calibration.compute import one_thread
from calibration.data.blocks import find_blocks, parse_classes
from calibration.data.calibration_data import Kept
from calibration.data.labels import MIN_BLOCKS_PER_CLASS, Labels, label_volumes
from calibration.data.prepared_runs import PREPARATION, walk
from calibration.decoders.baselines import fast_baselines
from calibration.decoders.evaluate import accuracy, log_loss
from calibration.decoders.fit import VOXELS
from calibration.decoders.fit_read_out import KINDS, fit_read_out
from calibration.decoders.lag import DEFAULT_LAG_S
from calibration.decoders.lda import VOXEL_SHARE, fit_lda
from calibration.demo.service_process import serve_and_play
from calibration.networks import LayerEvidence, LinearReadOut, ReadOutSettings, StreamingDecoder
from calibration.networks.features import RECURRENT, network_features
from calibration.progress import Progress, bars
from calibration.recipe import ZERO_SHOT_WINDOW_S, CalibrationSettings, calibrate
from calibration.weights.pretrained import Pretrained, load_pretrained
from rtdecode import bundle as bundles
from rtdecode import dicom
from rtdecode.events import Block, read_events
from rtdecode.record.format import read_out
from rtdecode.stages import Preparation
from rtdecode.types import Bool, Decision, Float32, Float64, Outcome, Prepared, Volume

SERVED = "served decisions"
FAST = "served fast read-out"
COMPILED = "compiled decoder"


@dataclass(frozen=True)
class Taught:
    """A decoder, and what it was fitted to."""

    bundle: bundles.Bundle
    prepared: Float32
    motion: Float64
    labels: Labels


@dataclass(frozen=True)
class Half:
    """What one direction says of the blocks that it did not see."""

    evidence: dict[str, Float64]
    """(volumes of the run, K) log-probabilities by name."""
    usable: Bool
    lag_s: float
    kind: str
    """What was compiled, and how it decides."""


def part(
    volumes: Sequence[Volume], blocks: Sequence[Block], start_s: float, end_s: float, folder: Path
) -> tuple[list[Volume], Path]:
    """Return some of a run as a run of its own, and its events."""
    chosen = [v for v in volumes if start_s <= v.acquired_s < end_s]
    first = chosen[0]
    rows = [
        f"{max(0.0, b.onset_s - first.acquired_s):g}\t{b.end_s - b.onset_s:g}\t{b.trial_type}\n"
        for b in blocks
        if start_s <= b.onset_s < end_s
    ]
    events = folder / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\n" + "".join(rows), encoding="utf-8")
    moved = [
        replace(v, index=v.index - first.index, acquired_s=v.acquired_s - first.acquired_s)
        for v in chosen
    ]
    return moved, events


def direction(
    run: Path,
    volumes: Sequence[Volume],
    training: tuple[list[Volume], Path],
    pretrained: Pretrained,
    classes: str | None,
    folder: Path,
    progress: Progress,
) -> Half:
    """Calibrate on one half, replay everything."""
    taught = teach(training, pretrained, classes, folder, progress)
    (folder / "served").mkdir()
    served = serve_and_play(
        taught.bundle.path, run, folder / "served", len(volumes), "max",
        lambda outcome: progress("serve the run", outcome.index + 1, len(volumes)),
    )  # fmt: skip
    manifest = taught.bundle.manifest
    prepared = walked(taught.bundle, volumes, progress)
    evidence = {COMPILED: said(taught.bundle, prepared)}
    evidence |= others(taught, volumes, prepared, pretrained, progress)
    for row, name in ((SERVED, "probabilities"), (FAST, "fast")):
        found = published(served, manifest.classes, name)
        evidence[row] = np.log(np.maximum(found, 1e-9))
    return Half(
        evidence,
        np.array([isinstance(o, Decision) and o.quality.usable for o in served]),
        taught.labels.lag_s,
        f"{manifest.kind}, {read_out(manifest)}",
    )


def teach(
    training: tuple[list[Volume], Path],
    pretrained: Pretrained,
    classes: str | None,
    folder: Path,
    progress: Progress,
) -> Taught:
    """Calibrate; with one block of a class, where nothing can be held out, by every default."""
    volumes, events = training
    settings = CalibrationSettings(folder.name, classes=classes)
    blocks = find_blocks(read_events(events), events, np.inf)
    spec = parse_classes(classes, [block.trial_type for block in blocks])
    times = [np.array([v.acquired_s for v in volumes])]
    labels = label_volumes([blocks], times, spec, DEFAULT_LAG_S, least_blocks=1)
    if np.bincount(labels.block_labels()).min() >= MIN_BLOCKS_PER_CLASS:
        made = calibrate([volumes], pretrained, [events], folder / "bundle", settings, progress)
        kept = Kept.load(made.bundle)
        return Taught(made.bundle, kept.prepared, kept.motion, made.fitted.labels)
    plain = calibrate([volumes], pretrained, [], folder / "plain", settings, progress).bundle
    run = walked(plain, volumes, progress)
    prepared, motion = stacked(run)
    labels = labels.only_usable(np.array([one.quality.usable for one in run]))
    layer = pretrained.layers[0]
    network, mask = pretrained.network, plain.space.mask
    features = network_features(network, prepared, mask, (layer,), progress)[layer]
    head = fit_lda(features, labels)
    evidence = LayerEvidence(network, mask, LinearReadOut(layer, head.weight, head.bias))
    length = round(ZERO_SHOT_WINDOW_S / plain.manifest.repetition_time_s)
    decoder = StreamingDecoder(evidence, ReadOutSettings(length))
    export = export_decoder(decoder, labels.classes, folder / "decoder.onnx")
    manifest = replace(
        plain.manifest,
        classes=labels.classes,
        kind=f"convolution {layer}, all by default",
        window_volumes=length,
        haemodynamic_lag_s=labels.lag_s,
        state=export.state,
    )
    initial = {n: a for n, a in plain.initial_state.items() if n.startswith(PREPARATION)}
    written = bundles.write(folder / "bundle", manifest, export.path, plain.space, initial)
    return Taught(written, prepared, motion, labels)


def walked(
    bundle: bundles.Bundle, volumes: Sequence[Volume], progress: Progress
) -> tuple[Prepared, ...]:
    """Return a run's volumes as they are when they reach the decoder."""
    stages = Preparation(bundle.space, bundle.manifest.preparation)
    initial = {
        name.removeprefix(PREPARATION): array
        for name, array in bundle.initial_state.items()
        if name.startswith(PREPARATION)
    }
    prepared, _ = walk(stages, initial, volumes, progress, "prepare as served")
    return tuple(prepared)


def stacked(run: Sequence[Prepared]) -> tuple[Float32, Float64]:
    """Return a run's voxels and motion."""
    return np.stack([one.data for one in run]), np.stack([one.motion.as_array() for one in run])


def said(bundle: bundles.Bundle, run: Sequence[Prepared]) -> Float64:
    """Return the compiled decoder's log-probabilities of each volume alone, (n, K)."""
    session = onnxruntime.InferenceSession(bundle.decoder, providers=["CPUExecutionProvider"])
    state = {t.name: np.zeros(t.shape, t.dtype) for t in bundle.manifest.state}
    alone = state | {"usable": np.ones((), np.float32), "elapsed": np.ones((), np.int64)}
    answers = [
        session.run(["volume_log_probabilities"], alone | {"volume": one.data})[0] for one in run
    ]
    return np.stack(answers).astype(np.float64)


def published(outcomes: Sequence[Outcome], classes: Sequence[str], name: str) -> Float64:
    """Return what was published of each volume; all classes alike where nothing was decided."""
    nothing = [1 / len(classes)] * len(classes)
    return np.array([getattr(o, name) if isinstance(o, Decision) else nothing for o in outcomes])


def others(
    taught: Taught,
    volumes: Sequence[Volume],
    prepared: Sequence[Prepared],
    pretrained: Pretrained,
    progress: Progress,
) -> dict[str, Float64]:
    """Fit every candidate and baseline to the same half, and give them the served volumes."""
    bundle, labels = taught.bundle, taught.labels
    served, moved = stacked(prepared)
    both = np.concatenate([taught.prepared, served])
    motion = np.concatenate([taught.motion, moved])
    n = len(taught.prepared)
    layers = (*pretrained.layers, RECURRENT)
    features = network_features(pretrained.network, both, bundle.space.mask, layers, progress) | {
        VOXELS: both
    }
    found = {}
    for layer, values in features.items():
        name = {RECURRENT: "recurrent features", VOXELS: "voxels"}.get(
            layer, f"convolution {layer}"
        )
        count = round(VOXEL_SHARE * both.shape[1])
        fit = partial(fit_lda, n_features=count) if layer == VOXELS else fit_lda
        found[name] = fit(values[:n], labels).log_probabilities(values[n:])
    when = np.concatenate([labels.acquired_s, [v.acquired_s for v in volumes]])
    everything = replace(labels, acquired_s=when)
    for one in fast_baselines(both, bundle.space.mask, bundle.space.grid_affine, motion,
                              everything, 0):  # fmt: skip
        fitted = one.fit(one.features[:n], labels)
        found[one.name] = fitted.log_probabilities(one.features[n:])
    return found


def joined(
    halves: Sequence[Half], labels: Labels, split_s: float, repetition_time_s: float
) -> tuple[list[list[str]], Bool]:
    """Return the table's rows, each block from the half that did not see it."""
    first = labels.acquired_s < split_s + labels.lag_s
    usable = np.where(first, halves[1].usable, halves[0].usable)
    labels = labels.only_usable(usable)
    rows = []
    for name in (SERVED, FAST, *(n for n in halves[0].evidence if n not in {SERVED, FAST})):
        evidence = np.where(first[:, None], halves[1].evidence[name], halves[0].evidence[name])
        if name in {SERVED, FAST}:  # read out already
            rows.append(line(name, "as published", evidence, evidence, labels))
            continue
        for kind in KINDS:
            found = fit_read_out(kind, evidence, labels, usable, repetition_time_s)
            rows.append(line(name, found.name, evidence, found.log_probabilities, labels))
    return rows, usable


def line(name: str, read_out: str, evidence: Float64, served: Float64, labels: Labels) -> list[str]:
    """Return one row of the table."""
    found = accuracy(evidence, served, labels)
    figures = (
        (found.volume, found.interval_95_volume),
        (found.window, found.interval_95_window),
        (found.block, found.interval_95_block),
    )
    cells = [f"{value:.0%} ({low:.0%}-{high:.0%})" for value, (low, high) in figures]
    if evidence is served:
        cells[0] = "-"
    return [name, read_out, *cells, f"{log_loss(served, labels):.2f}"]


def main() -> None:
    """Do both directions, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="folder of one run's DICOM files")
    parser.add_argument("--events", type=Path, required=True, help="BIDS events")
    parser.add_argument("--classes", help="as of rtdecode calibrate")
    parser.add_argument("--weights", default="deeplight-2d")
    given = parser.parse_args()
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    pretrained = load_pretrained(given.weights)
    volumes = dicom.assemble([given.run])
    run_s = volumes[-1].acquired_s + volumes[-1].repetition_time_s
    blocks = find_blocks(read_events(given.events), given.events, run_s)
    spec = parse_classes(given.classes, [block.trial_type for block in blocks])
    split_s = blocks[len(blocks) // 2].onset_s
    halves = []
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        for name, start_s, end_s in (("first", 0.0, split_s), ("second", split_s, run_s)):
            folder = Path(scratch) / name
            folder.mkdir()
            with bars(console) as progress:
                training = part(volumes, blocks, start_s, end_s, folder)
                halves.append(
                    direction(given.run, volumes, training, pretrained, given.classes, folder,
                              progress)
                )  # fmt: skip
    times = [np.array([v.acquired_s for v in volumes])]
    labels = label_volumes([blocks], times, spec, halves[0].lag_s)
    rows, usable = joined(halves, labels, split_s, volumes[0].repetition_time_s)
    table = Table(
        *("decoder", "read out by", "volumes", "decisions", "blocks", "log-loss"),
        box=box.MARKDOWN,
        title=f"{', '.join(spec.classes)}; chance {1 / len(spec.classes):.0%}; "
        f"{len(np.unique(labels.block[labels.chosen]))} blocks of one run; compiled: "
        + " and ".join(half.kind for half in halves),
    )
    for cells in rows:
        table.add_row(*cells)
    Console(width=120).print(table)  # narrower, its cells would break
    console.print(f"{int((labels.chosen & usable).sum())} volumes; lags "
                  f"{', '.join(f'{half.lag_s:g} s' for half in halves)}")  # fmt: skip


if __name__ == "__main__":
    main()
