#!/usr/bin/env python3
"""Calibrate on one half of a run's blocks, serve the run, and score the other half's decisions.

  .venv/bin/python tools/experiments/split_half.py --run DICOM_FOLDER --events events.tsv

Both halves are used for calibration in turn, so each block is decoded by a decoder that has not
seen it. The table has the decisions as the service published them. Below are the compiled decoder,
every candidate and every baseline, each fitted to the same half and applied to the same served
volumes. Each is read out by a window and by a filter, whose settings were fitted to the other
blocks. One run has few blocks: look at the intervals.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from calibration.bundling.assemble_decoder import ZERO_SHOT_WINDOW_S
from calibration.bundling.compile import export_decoder
from calibration.calibration_settings import CalibrationSettings
from calibration.compute import one_thread
from calibration.data.blocks import find_blocks, parse_classes
from calibration.data.calibration_data import CalibrationData
from calibration.data.labels import MIN_BLOCKS_PER_CLASS, Labels, label_volumes
from calibration.data.prepared_runs import PREPARATION, prepare_run
from calibration.decoders.baselines import fast_baselines
from calibration.decoders.evaluate import accuracy, log_loss
from calibration.decoders.fit_read_out import KINDS, fit_read_out
from calibration.decoders.lag import DEFAULT_LAG_S
from calibration.decoders.lda import VOXEL_SHARE, fit_lda
from calibration.demo.service_process import serve_and_play
from calibration.networks import LayerEvidence, LinearReadOut, ReadOutSettings, StreamingDecoder
from calibration.networks.features import RECURRENT, VOXELS, network_features
from calibration.progress import Progress, bars
from calibration.recipe import calibrate
from calibration.weights.pretrained import Pretrained, load_pretrained
from rtdecode import bundle as bundles
from rtdecode import dicom
from rtdecode.events import Block, read_events
from rtdecode.record.decoder_section import read_out
from rtdecode.stages import Preparation
from rtdecode.types import Bool, Decision, Float32, Float64, Outcome, Prepared, Volume

SERVED = "served decisions"
FAST = "served fast read-out"
COMPILED = "compiled decoder"


@dataclass(frozen=True)
class CalibratedDecoder:
    """A decoder, and the data of the half that it was fitted to."""

    bundle: bundles.Bundle
    prepared: Float32
    """Prepared volumes, (volumes of the half, V)."""
    motion: Float64
    """Motion parameters, (volumes of the half, 6)."""
    labels: Labels


@dataclass(frozen=True)
class HalfResult:
    """The evidence of all decoders that were fitted to one half."""

    evidence: dict[str, Float64]
    """Log-probabilities by decoder, (volumes of the run, K)."""
    usable: Bool
    """Volumes that can be trusted, (volumes of the run,)."""
    lag_s: float
    """The haemodynamic lag that calibration chose."""
    kind: str
    """The compiled decoder and its read-out, in words."""


def cut_run(
    volumes: Sequence[Volume], blocks: Sequence[Block], start_s: float, end_s: float, folder: Path
) -> tuple[list[Volume], Path]:
    """Return the part of a run from `start_s` to `end_s` as a run, and its events file."""
    chosen = [v for v in volumes if start_s <= v.acquired_s < end_s]
    first = chosen[0]
    rows = [
        f"{max(0.0, b.onset_s - first.acquired_s):g}\t{b.end_s - b.onset_s:g}\t{b.trial_type}\n"
        for b in blocks
        if start_s <= b.onset_s < end_s
    ]
    events = folder / "events.tsv"
    events.write_text("onset\tduration\ttrial_type\n" + "".join(rows), encoding="utf-8")
    renumbered = [
        replace(v, index=v.index - first.index, acquired_s=v.acquired_s - first.acquired_s)
        for v in chosen
    ]
    return renumbered, events


def calibrate_and_serve(
    run: Path,
    volumes: Sequence[Volume],
    training: tuple[list[Volume], Path],
    pretrained: Pretrained,
    classes: str | None,
    folder: Path,
    progress: Progress,
) -> HalfResult:
    """Calibrate on one half, serve the whole run, and return the evidence of all decoders."""
    decoder = calibrate_half(training, pretrained, classes, folder, progress)
    (folder / "served").mkdir()
    served = serve_and_play(
        decoder.bundle.path,
        run,
        folder / "served",
        len(volumes),
        "max",
        lambda outcome: progress("serve the run", outcome.index + 1, len(volumes)),
    )
    manifest = decoder.bundle.manifest
    prepared = prepare_as_served(decoder.bundle, volumes, progress)
    evidence = {COMPILED: compiled_evidence(decoder.bundle, prepared)}
    evidence |= candidate_evidence(decoder, volumes, prepared, pretrained, progress)
    for row, name in ((SERVED, "probabilities"), (FAST, "fast")):
        probabilities = published_probabilities(served, manifest.classes, name)
        evidence[row] = np.log(np.maximum(probabilities, 1e-9))
    return HalfResult(
        evidence,
        np.array([isinstance(o, Decision) and o.quality.usable for o in served]),
        decoder.labels.lag_s,
        f"{manifest.kind}, {read_out(manifest)}",
    )


def calibrate_half(
    training: tuple[list[Volume], Path],
    pretrained: Pretrained,
    classes: str | None,
    folder: Path,
    progress: Progress,
) -> CalibratedDecoder:
    """Calibrate; use all defaults if a class has too few blocks to hold any out."""
    volumes, events = training
    settings = CalibrationSettings(folder.name, classes=classes)
    blocks = find_blocks(read_events(events), events, np.inf)
    spec = parse_classes(classes, [block.trial_type for block in blocks])
    times = [np.array([v.acquired_s for v in volumes])]
    labels = label_volumes([blocks], times, spec, DEFAULT_LAG_S, min_blocks=1)
    if np.bincount(labels.block_labels()).min() >= MIN_BLOCKS_PER_CLASS:
        calibration = calibrate(
            [volumes], pretrained, [events], folder / "bundle", settings, progress
        )
        if calibration.fitted is None:
            raise SystemExit("split_half: calibration with events fitted no decoder")
        data = CalibrationData.load(calibration.bundle)
        labels = calibration.fitted.labels
        return CalibratedDecoder(calibration.bundle, data.prepared, data.motion, labels)
    plain = calibrate([volumes], pretrained, [], folder / "plain", settings, progress).bundle
    run = prepare_as_served(plain, volumes, progress)
    prepared, motion = stack(run)
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
    return CalibratedDecoder(written, prepared, motion, labels)


def prepare_as_served(
    bundle: bundles.Bundle, volumes: Sequence[Volume], progress: Progress
) -> tuple[Prepared, ...]:
    """Return a run's volumes as the service prepares them for the decoder."""
    stages = Preparation(bundle.space, bundle.manifest.preparation)
    initial = {
        name.removeprefix(PREPARATION): array
        for name, array in bundle.initial_state.items()
        if name.startswith(PREPARATION)
    }
    prepared, _ = prepare_run(stages, initial, volumes, progress, "prepare as served")
    return tuple(prepared)


def stack(run: Sequence[Prepared]) -> tuple[Float32, Float64]:
    """Return a run's voxels, (n, V), and motion, (n, 6)."""
    return np.stack([one.data for one in run]), np.stack([one.motion.as_array() for one in run])


def compiled_evidence(bundle: bundles.Bundle, run: Sequence[Prepared]) -> Float64:
    """Return the compiled decoder's log-probabilities of each single volume, (n, K)."""
    session = onnxruntime.InferenceSession(bundle.decoder, providers=["CPUExecutionProvider"])
    state = {t.name: np.zeros(t.shape, t.dtype) for t in bundle.manifest.state}
    single = state | {"usable": np.ones((), np.float32), "elapsed": np.ones((), np.int64)}
    answers = [
        session.run(["volume_log_probabilities"], single | {"volume": one.data})[0] for one in run
    ]
    return np.stack(answers).astype(np.float64)


def published_probabilities(
    outcomes: Sequence[Outcome], classes: Sequence[str], name: str
) -> Float64:
    """Return each volume's published probabilities, (n, K); uniform without a decision."""
    uniform = [1 / len(classes)] * len(classes)
    return np.array([getattr(o, name) if isinstance(o, Decision) else uniform for o in outcomes])


def candidate_evidence(
    decoder: CalibratedDecoder,
    volumes: Sequence[Volume],
    prepared: Sequence[Prepared],
    pretrained: Pretrained,
    progress: Progress,
) -> dict[str, Float64]:
    """Fit every candidate and baseline to the same half; return their evidence by name, (n, K)."""
    bundle, labels = decoder.bundle, decoder.labels
    served, served_motion = stack(prepared)
    both = np.concatenate([decoder.prepared, served])
    motion = np.concatenate([decoder.motion, served_motion])
    n = len(decoder.prepared)
    layers = (*pretrained.layers, RECURRENT)
    features = network_features(pretrained.network, both, bundle.space.mask, layers, progress) | {
        VOXELS: both
    }
    evidence = {}
    for layer, values in features.items():
        name = {RECURRENT: "recurrent features", VOXELS: "voxels"}.get(
            layer, f"convolution {layer}"
        )
        count = round(VOXEL_SHARE * both.shape[1])
        fit = partial(fit_lda, n_features=count) if layer == VOXELS else fit_lda
        evidence[name] = fit(values[:n], labels).log_probabilities(values[n:])
    acquired_s = np.concatenate([labels.acquired_s, [v.acquired_s for v in volumes]])
    all_labels = replace(labels, acquired_s=acquired_s)
    space = bundle.space
    for baseline in fast_baselines(both, space.mask, space.grid_affine, motion, all_labels, 0):
        fitted = baseline.fit(baseline.features[:n], labels)
        evidence[baseline.name] = fitted.log_probabilities(baseline.features[n:])
    return evidence


def table_rows(
    halves: Sequence[HalfResult], labels: Labels, split_s: float, repetition_time_s: float
) -> tuple[list[list[str]], Bool]:
    """Return the table's rows and the usable volumes; each block is scored by the other half."""
    in_first = labels.acquired_s < split_s + labels.lag_s
    usable = np.where(in_first, halves[1].usable, halves[0].usable)
    labels = labels.only_usable(usable)
    rows = []
    for name in (SERVED, FAST, *(n for n in halves[0].evidence if n not in {SERVED, FAST})):
        evidence = np.where(in_first[:, None], halves[1].evidence[name], halves[0].evidence[name])
        if name in {SERVED, FAST}:  # the service has read them out
            rows.append(table_row(name, "as published", evidence, evidence, labels))
            continue
        for kind in KINDS:
            fitted = fit_read_out(kind, evidence, labels, usable, repetition_time_s)
            rows.append(table_row(name, fitted.name, evidence, fitted.log_probabilities, labels))
    return rows, usable


def table_row(
    name: str, read_out: str, evidence: Float64, decisions: Float64, labels: Labels
) -> list[str]:
    """Return the cells of one row."""
    scores = accuracy(evidence, decisions, labels)
    figures = (
        (scores.volume, scores.interval_95_volume),
        (scores.window, scores.interval_95_window),
        (scores.block, scores.interval_95_block),
    )
    cells = [f"{value:.0%} ({low:.0%}-{high:.0%})" for value, (low, high) in figures]
    if evidence is decisions:
        cells[0] = "-"
    return [name, read_out, *cells, f"{log_loss(decisions, labels):.2f}"]


def main() -> None:
    """Calibrate on each half, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="DICOM folder of one run")
    parser.add_argument("--events", type=Path, required=True, help="the run's BIDS events")
    parser.add_argument(
        "--classes", help="as for rtdecode calibrate: face+body:people,house:places"
    )
    parser.add_argument(
        "--weights", default="deeplight-2d", help="the pretrained weights (deeplight-2d)"
    )
    options = parser.parse_args()
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    pretrained = load_pretrained(options.weights)
    volumes = dicom.assemble([options.run])
    run_s = volumes[-1].acquired_s + volumes[-1].repetition_time_s
    blocks = find_blocks(read_events(options.events), options.events, run_s)
    spec = parse_classes(options.classes, [block.trial_type for block in blocks])
    split_s = blocks[len(blocks) // 2].onset_s
    halves = []
    with tempfile.TemporaryDirectory() as scratch, one_thread():
        for name, start_s, end_s in (("first", 0.0, split_s), ("second", split_s, run_s)):
            folder = Path(scratch) / name
            folder.mkdir()
            with bars(console) as progress:
                training = cut_run(volumes, blocks, start_s, end_s, folder)
                halves.append(
                    calibrate_and_serve(
                        options.run,
                        volumes,
                        training,
                        pretrained,
                        options.classes,
                        folder,
                        progress,
                    )
                )
    times = [np.array([v.acquired_s for v in volumes])]
    labels = label_volumes([blocks], times, spec, halves[0].lag_s)
    rows, usable = table_rows(halves, labels, split_s, volumes[0].repetition_time_s)
    table = Table(
        *("decoder", "read out by", "volumes", "decisions", "blocks", "log-loss"),
        box=box.MARKDOWN,
        title=f"{', '.join(spec.classes)}; chance {1 / len(spec.classes):.0%}; "
        f"{len(np.unique(labels.block[labels.chosen]))} blocks of one run; compiled: "
        + " and ".join(half.kind for half in halves),
    )
    for cells in rows:
        table.add_row(*cells)
    Console(width=120).print(table)  # a narrower table would break its cells
    lags = ", ".join(f"{half.lag_s:g} s" for half in halves)
    console.print(f"{int((labels.chosen & usable).sum())} volumes; lags {lags}")


if __name__ == "__main__":
    main()
