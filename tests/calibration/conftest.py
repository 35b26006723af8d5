"""A slow network written from the paper alone, labels of made-up runs, and whole calibrations."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from calibration.calibration_settings import CalibrationSettings
from calibration.compute import one_thread
from calibration.data.blocks import ClassSpec
from calibration.data.labels import Labels, label_volumes
from calibration.decoders.fit import FittingSettings
from calibration.networks import DeepLight
from calibration.recipe import CalibrationResult, calibrate
from calibration.simulation import (
    ActivationSettings,
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    SimulatedRun,
    default_states,
    load_template,
    make_participant,
    simulate_run,
    write_events,
)
from calibration.weights.pretrained import Pretrained
from rtdecode.events import Block
from rtdecode.types import Volume

GRID = (10, 8, 5)
"""Columns 10, 5, 3, 2, 1 and rows 8, 4, 2, 1, 1: strides of 2 meet even and odd sizes."""
CHANNELS = (1, 8, 8, 16, 16, 32, 32, 32, 32, 64, 64, 64, 64)
STRIDES = (1, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _convolve_same(image: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int):
    """TensorFlow's conv2d with SAME on one (rows, columns, channels) image, loop by loop."""
    outputs = [-(-n // stride) for n in image.shape[:2]]
    totals = [
        max((m - 1) * stride + 3 - n, 0) for m, n in zip(outputs, image.shape[:2], strict=True)
    ]
    pads = [(t // 2, t - t // 2) for t in totals]
    padded = np.pad(image, [*pads, (0, 0)])
    result = np.empty((*outputs, kernel.shape[3]))
    for row in range(outputs[0]):
        for column in range(outputs[1]):
            patch = padded[row * stride : row * stride + 3, column * stride : column * stride + 3]
            result[row, column] = np.tensordot(patch, kernel, 3) + bias
    return np.maximum(result, 0)


def _last_hidden(sequence: np.ndarray, arrays: dict[str, np.ndarray], layer: str) -> np.ndarray:
    hidden, cell = np.zeros(64), np.zeros(64)
    for x in sequence:
        gates = (
            arrays[f"{layer}/weights_xh"] @ x
            + arrays[f"{layer}/biases_xh"]
            + arrays[f"{layer}/weights_hh"] @ hidden
            + arrays[f"{layer}/biases_hh"]
        )
        enter, candidate, forget, leave = np.split(gates, 4)
        cell = _sigmoid(forget + 1.0) * cell + _sigmoid(enter) * np.tanh(candidate)
        hidden = _sigmoid(leave) * np.tanh(cell)
    return hidden


def _logits(arrays: dict[str, np.ndarray], volume: np.ndarray) -> np.ndarray:
    arrays = {name: value.astype(np.float64) for name, value in arrays.items()}
    sequence = []
    for z in range(volume.shape[2]):
        image = volume[:, :, z].T[:, :, None].astype(np.float64)
        for layer, stride in enumerate(STRIDES):
            name = f"conv2d_{2 * layer + 1}"
            image = _convolve_same(
                image, arrays[f"{name}/weights"], arrays[f"{name}/biases"], stride
            )
        sequence.append(image.ravel())
    features = np.concatenate(
        [
            _last_hidden(np.array(sequence), arrays, "lstm_fw_26"),
            _last_hidden(np.array(sequence)[::-1], arrays, "lstm_bw_27"),
        ]
    )
    return features @ arrays["linear_29/weights"] + arrays["linear_29/biases"]


@pytest.fixture(autouse=True)
def one_core() -> Iterator[None]:
    """Keep torch on one core: beside other work, two threads wait for each other for minutes."""
    with one_thread():
        yield


@pytest.fixture
def slow_logits() -> Callable[[dict[str, np.ndarray], np.ndarray], np.ndarray]:
    """Return a function from TensorFlow variables and a volume to logits, in float64."""
    return _logits


@pytest.fixture
def deeplight_variables(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return random TensorFlow variables for `GRID` and 4 states, loud in every layer."""
    arrays = {}
    for layer, (before, after) in enumerate(pairwise(CHANNELS)):
        kernel = rng.standard_normal((3, 3, before, after)) * np.sqrt(2 / (9 * before))
        arrays[f"conv2d_{2 * layer + 1}/weights"] = kernel
        arrays[f"conv2d_{2 * layer + 1}/biases"] = 0.1 * rng.standard_normal(after)
    for layer in ("lstm_fw_26", "lstm_bw_27"):
        arrays[f"{layer}/weights_xh"] = rng.standard_normal((256, 64)) / 4
        arrays[f"{layer}/weights_hh"] = rng.standard_normal((256, 64)) / 8
        arrays[f"{layer}/biases_xh"] = rng.standard_normal(256)
        arrays[f"{layer}/biases_hh"] = rng.standard_normal(256)
    arrays["linear_29/weights"] = rng.standard_normal((128, 4))
    arrays["linear_29/biases"] = rng.standard_normal(4)
    return {name: value.astype(np.float32) for name, value in arrays.items()}


LAG_S = 5.0


def _labels(
    runs: Sequence[str],
    block_s: float = 16.0,
    pause_s: float = 8.0,
    repetition_time_s: float = 2.0,
    *,
    rest: bool = False,
    lag_s: float = LAG_S,
) -> Labels:
    blocks, times = [], []
    for number, order in enumerate(runs):
        onsets_s = [20 + place * (block_s + pause_s) for place in range(len(order))]
        blocks.append(
            tuple(
                Block(name, onset_s, onset_s + block_s, row, number)
                for row, (name, onset_s) in enumerate(zip(order, onsets_s, strict=True), start=2)
            )
        )
        times.append(np.arange(0.0, 40 + len(order) * (block_s + pause_s), repetition_time_s))
    names = tuple(sorted(set("".join(runs))))
    spec = ClassSpec(names, {name: name for name in names})
    return label_volumes(blocks, times, spec, lag_s, rest=rest)


@pytest.fixture(scope="session")
def make_labels() -> Callable[..., Labels]:
    """Return a function from runs, each a string with one letter a block, to their labels."""
    return _labels


MODEL_GRID = (23, 28, 23)
MODEL_AFFINE = np.array([[-8.0, 0, 0, 90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
STATES = ("looking", "listening", "resting")
GAP = range(50, 53)
"""Volumes that the fitted calibration never saw."""


@dataclass(frozen=True)
class Calibrations:
    """One person's runs, and what two calibrations made of the first."""

    run: SimulatedRun
    volumes: list[Volume]
    """All of the run."""
    with_gap: list[Volume]
    """What the fitted calibration was given."""
    pretrained: Pretrained
    events: Path
    fitted: CalibrationResult
    zero_shot: CalibrationResult
    told: list[tuple[str, int, int]]
    """Progress of the fitted calibration."""
    second: SimulatedRun
    """Another run of the same person."""
    transform: Path
    """From the EPI to MNI, so that nothing need be registered."""


BOX_GRID = (12, 14, 8)


@pytest.fixture(scope="session")
def box() -> np.ndarray:
    """Return a mask on a small grid, with empty slices at both ends."""
    mask = np.zeros(BOX_GRID, bool)
    mask[2:10, 2:12, 1:7] = True
    return mask


@pytest.fixture
def halves(box: np.ndarray, rng: np.random.Generator) -> Callable[[Labels, float], np.ndarray]:
    """Return a function that makes volumes of `box` in which two classes light up its halves."""

    def make(labels: Labels, strength: float) -> np.ndarray:
        dense = rng.standard_normal((len(labels.label), *BOX_GRID)).astype(np.float32)
        dense[labels.label == 0, :6] += strength
        dense[labels.label == 1, 6:] += strength
        return dense[:, box]

    return make


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    write_transform: Callable[[SimulatedRun, Path], Path],
) -> Calibrations:
    """Calibrate twice: fitted to events with a gap in the run, and zero-shot by a transform.

    The network has learnt nothing: its random features will do.
    """
    folder = tmp_path_factory.mktemp("calibrations")
    states = tuple(s for s in default_states() if s.trial_type in {"left_hand", "places"})
    settings = ParticipantSettings(states, ActivationSettings(bold_percent=8.0, block_spread=0.1))
    participant = make_participant(load_template(), settings, seed=1)
    protocol = EpiProtocol((40, 40, 28), (5.5, 5.5, 5.0), repetition_time_s=2.0)
    design = RunDesign(blocks_per_state=4, block_s=12.0, rest_s=8.0, protocol=protocol)
    run = simulate_run(participant, design, seed=3)
    volumes = list(run.volumes())
    with_gap = [v for v in volumes if v.index not in GAP]
    events = write_events(run.events, folder / "events.tsv")
    told: list[tuple[str, int, int]] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        network = DeepLight(MODEL_GRID, len(STATES))
    pretrained = Pretrained("random", network, STATES, MODEL_AFFINE, "0" * 64, layers=(4, 6))
    fitted = calibrate(
        [with_gap],
        pretrained,
        [events],
        folder / "fitted",
        CalibrationSettings(
            "fitted", quick_registration=True, fitting=FittingSettings(permutations=30)
        ),
        lambda *step: told.append(step),
    )
    transform = write_transform(run, folder / "epi_to_mni.txt")
    zero_shot = calibrate(
        [volumes],
        pretrained,
        [],
        folder / "zero-shot",
        CalibrationSettings("zero-shot", transform=transform),
    )
    second = simulate_run(participant, design, seed=4)
    return Calibrations(
        run, volumes, with_gap, pretrained, events, fitted, zero_shot, told, second, transform
    )
