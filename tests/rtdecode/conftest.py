"""A bundle so small that a run through it takes milliseconds, made without torch."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from rtdecode import bundle as bundles
from rtdecode.bundle import Bundle, Manifest, Provenance, Tensor
from rtdecode.metrics import ReadOutKind
from rtdecode.stages import Preparation, PreparationSettings, Space, dilate
from rtdecode.types import Float64, Identity, State, Volume

CLASSES = ("face", "house")
WINDOW = 3
SWITCHING = 0.4
"""Of the filter, per volume."""
MATRIX, VOXEL_MM = (24, 24, 14), (7.0, 7.0, 8.0)
GRID, GRID_MM = (10, 12, 10), (-10.0, 10.0, 10.0)
BLOBS_MM = ((-30.0, 20.0, 0.0), (25.0, -30.0, 15.0), (10.0, 40.0, -15.0), (-20.0, -35.0, 20.0))


def _affine(voxel_mm: tuple[float, ...], shape: tuple[int, ...]) -> Float64:
    affine = np.diag([*voxel_mm, 1.0])
    affine[:3, 3] = -(np.array(voxel_mm) * (np.array(shape) - 1)) / 2
    return affine


def _points_mm(shape: tuple[int, ...], affine: Float64) -> Float64:
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def scanned(
    index: int, shift_mm: float = 0.0, gain: float = 1.0, active: Sequence[int] = (0, 1)
) -> Volume:
    """Return a volume of a lumpy head, moved along y, whose blobs take turns in being active."""
    affine = _affine(VOXEL_MM, MATRIX)
    points = _points_mm(MATRIX, affine) - [0.0, shift_mm, 0.0]
    radius = np.sqrt(((points / [62, 70, 46]) ** 2).sum(axis=-1))
    tissue = np.ones(MATRIX)
    for number, centre in enumerate(BLOBS_MM):
        blob = np.exp(-((points - centre) ** 2).sum(axis=-1) / (2 * 15.0**2))
        on = (index // 4 + number) % 2 in active
        tissue += (0.5 - 0.3 * number + 0.02 * on) * blob
    noise = np.random.default_rng(1000 + index).standard_normal(MATRIX)
    data = gain * 700 * tissue / (1 + np.exp((radius - 1) * 12)) + 4 * noise
    return Volume(
        index, data.astype(np.float32), affine, index * 2.0, 2.0, Identity("5e" * 6, 5, index + 1)
    )


def decoder_state(read_out: ReadOutKind) -> tuple[Tensor, ...]:
    """Return what the decoder carries from volume to volume."""
    memory = (
        Tensor("evidence", "float32", (WINDOW, len(CLASSES)))
        if read_out == "window"
        else Tensor("belief", "float32", (len(CLASSES),))
    )
    return (memory, Tensor("weight", "float32", (WINDOW,)))


WINDOW_STEPS = (
    ("Concat", "evidence no_evidence", "long_evidence"),
    ("Slice", "long_evidence start end first_axis", "older"),
    ("Mul", "last_row counted", "newest"),
    ("Add", "older newest", "evidence_next"),
    ("Unsqueeze", "weight_next one", "weight_column"),
    ("Mul", "evidence_next weight_column", "weighed"),
    ("ReduceSum", "weighed first_axis", "sum"),
    ("ReduceSum", "weight_next first_axis", "total"),
    ("Max", "total least", "divisor"),
    ("Div", "sum divisor", "mean"),
    ("Softmax", "mean", "probabilities"),
)
FILTER_STEPS = (
    ("Cast", "elapsed", "passed"),
    ("Mul", "passed forgetting", "exponent"),
    ("Exp", "exponent", "kept"),
    ("Softmax", "belief", "before"),
    ("Sub", "before alike", "apart"),
    ("Mul", "apart kept", "still_apart"),
    ("Add", "still_apart alike", "moved"),
    ("Log", "moved", "log_moved"),
    ("Add", "log_moved counted", "total"),
    ("LogSoftmax", "total", "belief_next"),
    ("Softmax", "total", "probabilities"),
)


def decoder_graph(
    voxels: int, without: str = "", *, decided: bool = True, read_out: ReadOutKind = "window"
) -> bytes:
    """Return a linear decoder with a window or a filter, in ONNX.

    `without` makes one input a constant.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    classes = len(CLASSES)
    last = np.eye(WINDOW, dtype=np.float32)[-1]
    projection = np.random.default_rng(3).standard_normal((classes, voxels)) / np.sqrt(voxels)
    constants = {
        "projection": projection.astype(np.float32),
        "length": np.array(WINDOW),
        "lengths": np.array([WINDOW]),
        "one": np.array([1]),
        "first_axis": np.array([0]),
        "last": last,
        "last_row": last[:, None],
        "no_evidence": np.zeros((WINDOW, classes), np.float32),
        "no_weight": np.zeros(WINDOW, np.float32),
        "least": np.array(1e-6, np.float32),
        "forgetting": np.array(-SWITCHING, np.float32),
        "alike": np.full(classes, 1 / classes, np.float32),
    }
    steps = [
        # A window is moved on by cutting it out of itself with zeros behind.
        ("Min", "elapsed length", "shift"),
        ("Reshape", "shift one", "start"),
        ("Add", "start lengths", "end"),
        ("Concat", "weight no_weight", "long_weight"),
        ("Slice", "long_weight start end first_axis", "older_weight"),
        ("Mul", "last usable", "newest_weight"),
        ("Add", "older_weight newest_weight", "weight_next"),
        ("MatMul", "projection volume", "logits"),
        ("LogSoftmax", "logits", "volume_log_probabilities"),
        ("Mul", "volume_log_probabilities usable", "counted"),
        *(WINDOW_STEPS if read_out == "window" else FILTER_STEPS),
    ]
    attributes_of = {
        "Concat": {"axis": 0},
        "ReduceSum": {"keepdims": 0},
        "Cast": {"to": TensorProto.FLOAT},
    }
    nodes = []
    for operator, inputs, output in steps:
        attributes = attributes_of.get(operator, {})
        nodes.append(helper.make_node(operator, inputs.split(), [output], **attributes))

    nodes += [
        helper.make_node("Identity", ["probabilities"], ["fast_probabilities"]),
        helper.make_node("Identity", ["always"], ["decided"]),
    ]
    constants["always"] = np.array(decided, np.float32)
    inputs = {
        "volume": np.zeros(voxels, np.float32),
        "usable": np.ones((), np.float32),
        "elapsed": np.ones((), np.int64),
        **{t.name: np.zeros(t.shape, t.dtype) for t in decoder_state(read_out)},
    }
    outputs = {
        "probabilities": [classes],
        "fast_probabilities": [classes],
        "decided": [],
        "volume_log_probabilities": [classes],
        **{f"{tensor.name}_next": tensor.shape for tensor in decoder_state(read_out)},
    }
    if without:
        constants[without] = inputs.pop(without)
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
            )
            for name, value in inputs.items()
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString()


@dataclass(frozen=True)
class Parts:
    """What a bundle is written from."""

    manifest: Manifest
    decoder: Path
    space: Space
    initial: State

    def write(self, path: Path) -> Bundle:
        """Write it."""
        return bundles.write(path, self.manifest, self.decoder, self.space, self.initial)


@pytest.fixture(scope="session")
def scan() -> Callable[..., Volume]:
    """Return the scanner: index, and what is special about that volume, to a volume."""
    return scanned


@pytest.fixture(scope="session")
def graph() -> Callable[..., bytes]:
    """Return the maker of small decoders."""
    return decoder_graph


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Return the parts of a bundle whose runs are ready after four volumes."""
    reference = scanned(0)
    grid_affine = _affine(GRID_MM, GRID)
    points = _points_mm(GRID, grid_affine)
    mask = ((points / [44, 54, 34]) ** 2).sum(axis=-1) < 1
    settings = PreparationSettings(repetition_time_s=2.0)
    coordinates = points[dilate(mask)].astype(np.float32)
    space = Space(reference.data, reference.affine, mask, grid_affine, coordinates)
    preparation = Preparation(space, settings)
    state = preparation.initial_state()
    for index in range(16):
        state, _ = preparation.step(state, scanned(index))
    initial = preparation.initial_state(preparation.spread_of(state))
    decoder = tmp_path_factory.mktemp("parts") / "decoder.onnx"
    decoder.write_bytes(decoder_graph(int(mask.sum())))
    provenance = Provenance(
        code_version="0",
        weights="none",
        weights_sha256="0" * 64,
        registration="none",
        registration_overlap=1.0,
        n_calibration_runs=1,
        n_calibration_volumes=16,
        seed=0,
        data_sha256="0" * 64,
    )
    manifest = Manifest(
        name="tiny",
        classes=CLASSES,
        repetition_time_s=2.0,
        kind="by hand",
        rule="none",
        window_volumes=WINDOW,
        temperature=1.0,
        fast_retention=0.5,
        none_threshold=0.0,
        haemodynamic_lag_s=5.0,
        source_shape=MATRIX,
        model_shape=GRID,
        model_affine=tuple(tuple(row) for row in grid_affine.tolist()),
        preparation=settings,
        state=decoder_state("window"),
        parity={"volumes": 16.0, "probability": 0.0, "state": 0.0},
        provenance=provenance,
    )
    named = {f"preparation/{name}": array for name, array in initial.items()}
    return Parts(manifest, decoder, space, named)


@pytest.fixture(scope="session")
def bundle(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return the tiny bundle, loaded; leave its folder alone."""
    return parts.write(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def filter_bundle(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return the tiny bundle with a forward filter instead of the window, loaded."""
    folder = tmp_path_factory.mktemp("filter")
    decoder = folder / "decoder.onnx"
    decoder.write_bytes(decoder_graph(int(parts.space.mask.sum()), read_out="filter"))
    manifest = replace(
        parts.manifest, state=decoder_state("filter"), read_out="filter", dwell_s=2.0 * WINDOW
    )
    return replace(parts, manifest=manifest, decoder=decoder).write(folder / "tiny")


@pytest.fixture(params=["window", "filter"])
def either(bundle: Bundle, filter_bundle: Bundle, request: pytest.FixtureRequest) -> Bundle:
    """Return the tiny bundle, once with each decision read-out."""
    return {"window": bundle, "filter": filter_bundle}[request.param]


@pytest.fixture
def bundle_folder(bundle: Bundle, tmp_path: Path) -> Path:
    """Return a copy of the tiny bundle to do mischief to."""
    return Path(shutil.copytree(bundle.path, tmp_path / "mine"))
