"""Compile network, read-outs and temperature to one self-contained ONNX file, and check it."""

import hashlib
import io
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxscript import optimizer
from torch import nn

from calibration.networks import LayerEvidence, StreamingDecoder
from calibration.progress import Progress, silent
from rtdecode.bundle import Tensor
from rtdecode.errors import ConfigError, RunError
from rtdecode.types import Prepared, State

FORMAT = "rtdecode-decoder-1"
OPSET = 18
"""What torch's exporter writes without converting, and every ONNX Runtime since 1.14 reads."""
INPUTS = ("volume", "usable", "elapsed")
"""Followed by the state."""
ANSWERS = ("probabilities", "fast_probabilities", "decided", "volume_log_probabilities")
"""Followed by each state's next, `NAME_next`."""
SAMPLE_VOLUMES = 22
"""How many volumes of a run are compared with torch before the bundle is written."""
FOLD_BYTES = 1 << 26
"""Constants up to this size are computed while exporting; onnxscript stops at a few kB."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportReport:
    """What an export wrote."""

    decoder: StreamingDecoder
    """What was exported."""
    path: Path
    sha256: str
    size_bytes: int
    opset: int
    classes: tuple[str, ...]
    state: tuple[Tensor, ...]
    """Each starts as zeros."""
    operators: Mapping[str, int]
    """How many nodes of each type the graph has."""


@dataclass(frozen=True, slots=True, eq=False)
class Parity:
    """How far ONNX Runtime is from torch over a run, each with the state of its own past."""

    volumes: int
    probability: float
    """Largest absolute difference of a probability, of either read-out."""
    state: float
    """Largest difference of a state value, relative where the value is beyond 1."""
    decided: NDArray[np.int64]
    """(volumes,) which class ONNX Runtime decided on, -1 for none."""


def export_decoder(decoder: StreamingDecoder, classes: Sequence[str], path: Path) -> ExportReport:
    """Write a bundle's `decoder.onnx`; the same decoder gives the same bytes.

    Parameters
    ----------
    decoder
        What to export.
    classes
        Names of its outputs, in order.
    path
        The file to write.

    Raises
    ------
    ConfigError
        The classes do not fit the decoder.
    RunError
        The exporter made a graph that would be slow: padding outside the convolutions, or a
        recurrence unrolled over the slices.
    """
    if len(classes) != decoder.classes:
        raise ConfigError(
            f"{len(classes)} classes for a decoder with {decoder.classes} outputs: name each "
            "output once, in order"
        )
    model = _graph(decoder)
    operators = Counter(node.op_type for node in model.graph)
    recurrences = sum(isinstance(part, nn.LSTM) for part in decoder.modules()) - _unread(decoder)
    if operators["Pad"] or operators["LSTM"] != recurrences:
        raise RunError(
            f"the exported decoder has {operators['Pad']} Pad and {operators['LSTM']} LSTM nodes, "
            f"expected 0 and {recurrences}: refused, it would be slow; use the pinned torch and "
            "onnxscript"
        )
    _strip(model)
    model.metadata_props.update(
        {
            "rtdecode.format": FORMAT,
            "rtdecode.classes": json.dumps(list(classes)),
            **{f"rtdecode.{name}": repr(value) for name, value in asdict(decoder.settings).items()},
            "rtdecode.voxels": str(decoder.voxels),
        }
    )
    proto = onnx_ir.to_proto(model)
    onnx.checker.check_model(proto)
    content = proto.SerializeToString(deterministic=True)
    path.write_bytes(content)
    return ExportReport(
        decoder,
        path,
        hashlib.sha256(content).hexdigest(),
        len(content),
        OPSET,
        tuple(classes),
        tuple(Tensor(n, str(v.dtype), v.shape) for n, v in decoder.initial_state().items()),
        dict(operators),
    )


def parity(
    export: ExportReport,
    run: Sequence[Prepared],
    progress: Progress = silent,
    limit: float = 1e-4,
    restore_after: int | None = None,
) -> Parity:
    """Step torch and ONNX Runtime side by side over a run and compare what they say.

    Each carries its own state, so that a difference may grow as it would in the scanner.

    Parameters
    ----------
    export
        What `export_decoder` returned; its file is read again.
    run
        Prepared volumes in order, gaps and unusable volumes included.
    progress
        Told how many volumes were compared.
    limit
        Largest difference to accept.
    restore_after
        After so many volumes ONNX Runtime goes on in a new session, from a state that went through
        a file, as a service does that was restarted.

    Raises
    ------
    ConfigError
        The run is empty.
    RunError
        They differ by more than `limit`: the export is refused.
    """
    if not run:
        raise ConfigError("parity needs at least one prepared volume, and the run has none")
    # Both release Python's lock while they compute: side by side they take the longer one's time.
    with ThreadPoolExecutor(1, thread_name_prefix="torch") as pool:
        by_torch = pool.submit(_along_torch, export.decoder, run, progress)
        found = _along_runtime(export, run, restore_after)
        expected = by_torch.result()
    pairs = list(zip(expected, found, strict=True))
    states = [name for name in found[0] if name.endswith("_next")]
    result = Parity(
        len(run),
        max(
            _difference(ours[name], theirs[name]) for ours, theirs in pairs for name in ANSWERS[:2]
        ),
        max(_difference(ours[name], theirs[name]) for ours, theirs in pairs for name in states),
        np.array([int(one["probabilities"].argmax()) if one["decided"] else -1 for one in found]),
    )
    if max(result.probability, result.state) > limit:
        raise RunError(
            f"refused: over {result.volumes} volumes the exported decoder differs from torch by "
            f"{result.probability:.2g} in a probability and {result.state:.2g} in its state, "
            f"allowed {limit:g}"
        )
    return result


def parity_sample(run: Sequence[Prepared], window_volumes: int) -> list[Prepared]:
    """Return some twenty volumes in which everything happens that may happen in a run.

    From the middle of the run: volumes in a row, an unusable one, a gap of one volume, a gap longer
    than the window, and unusable volumes after it.

    Parameters
    ----------
    run
        Prepared volumes in order.
    window_volumes
        Length of the decision window.
    """
    first = max(0, len(run) // 2 - SAMPLE_VOLUMES)
    chosen = list(run[first : first + SAMPLE_VOLUMES])
    sample = []
    for place, prepared in enumerate(chosen):
        if place == 9:  # a gap of one volume
            continue
        later = window_volumes + 1 if place >= 14 else 0
        usable = prepared.quality.usable and place not in {5, 14, 15}
        quality = replace(prepared.quality, usable=usable)
        sample.append(replace(prepared, index=prepared.index + later, quality=quality))
    return sample


def _open(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _through_a_file(state: State) -> State:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _unread(decoder: StreamingDecoder) -> int:
    """Return how many recurrences are part of a network but not of the way to its head."""
    return sum(isinstance(part, LayerEvidence) for part in decoder.modules())


def _outputs(decoder: StreamingDecoder) -> tuple[str, ...]:
    """Return the names of what the graph gives, in its order."""
    return (*ANSWERS, *(f"{name}_next" for name in decoder.initial_state()))


def _along_torch(
    decoder: StreamingDecoder, run: Sequence[Prepared], progress: Progress
) -> list[State]:
    """Return what torch says after each volume, and its state then."""
    state, said = decoder.initial_state(), []
    for done, inputs in enumerate(_inputs(run), start=1):
        outputs, state = _step_torch(decoder, inputs | state)
        said.append(outputs)
        progress("compare with torch", done, len(run))
    return said


def _along_runtime(
    export: ExportReport, run: Sequence[Prepared], restore_after: int | None
) -> list[State]:
    """Return what ONNX Runtime says after each volume, and its state then."""
    session, names = _open(export.path), _outputs(export.decoder)
    state, said = export.decoder.initial_state(), []
    for done, inputs in enumerate(_inputs(run), start=1):
        outputs = dict(zip(names, session.run(names, inputs | state), strict=True))
        state = {name: outputs[f"{name}_next"] for name in state}
        said.append(outputs)
        if done == restore_after:
            session, state = _open(export.path), _through_a_file(state)
    return said


def _inputs(run: Sequence[Prepared]) -> Iterator[State]:
    """Yield what a decoder is given of each volume, but for its state."""
    before = run[0].index - 1
    for prepared in run:
        yield {
            "volume": prepared.data,
            "usable": np.array(prepared.quality.usable, np.float32),
            "elapsed": np.array(prepared.index - before, np.int64),
        }
        before = prepared.index


def _step_torch(decoder: StreamingDecoder, inputs: State) -> tuple[State, State]:
    state = tuple(decoder.initial_state())
    with torch.inference_mode():
        outputs = decoder(*(torch.tensor(inputs[name]) for name in (*INPUTS, *state)))
    values = (tensor.numpy() for tensor in outputs)
    arrays = dict(zip(_outputs(decoder), values, strict=True))
    return arrays, {name: arrays[f"{name}_next"] for name in state}


def _difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    difference = np.max(np.abs(expected - found) / np.maximum(np.abs(expected), 1))
    # Not-a-number agrees with nothing.
    return float(np.nan_to_num(difference, nan=np.inf))


def _graph(decoder: StreamingDecoder) -> onnx_ir.Model:
    state = decoder.initial_state()
    example = (
        torch.zeros(decoder.voxels),
        torch.tensor(1.0),
        torch.tensor(1),
        *(torch.from_numpy(value) for value in state.values()),
    )
    with _quiet():
        program = torch.onnx.export(
            decoder.eval(),
            example,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=(*INPUTS, *state),
            output_names=_outputs(decoder),
            # Folds the SAME padding into the convolutions, among other things.
            optimize=True,
        )
        if program is None:
            raise RunError("torch's exporter returned no graph")
        # The LSTM's weights are reordered for ONNX: once and for all here, not at every start.
        optimizer.optimize(program.model, input_size_limit=FOLD_BYTES, output_size_limit=FOLD_BYTES)
    return program.model


def _strip(model: onnx_ir.Model) -> None:
    """Remove what the exporter notes about this machine: source paths and stack traces."""
    model.doc_string = model.graph.doc_string = None
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.producer_name, model.producer_version = "rtdecode", None
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    for node in model.graph:
        node.doc_string = None
        node.metadata_props.clear()
        values.extend(node.outputs)
    for value in values:
        value.doc_string = None
        value.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes on its own inner workings from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
