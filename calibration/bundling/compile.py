"""Export network, read-outs and temperature to one self-contained ONNX file."""

import hashlib
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
import onnx_ir
import torch
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
)
from onnxscript import optimizer
from torch import nn

from calibration.networks import LayerEvidence, StreamingDecoder
from rtdecode.bundle import Tensor
from rtdecode.errors import ConfigError, RunError

FORMAT = "rtdecode-decoder-1"
OPSET = 18
"""torch's exporter writes it without conversion; every ONNX Runtime since 1.14 reads it."""
INPUTS = ("volume", "usable", "elapsed")
"""Inputs of the graph; those of the state follow."""
OUTPUTS = ("probabilities", "fast_probabilities", "decided", "volume_log_probabilities")
"""Outputs of the graph; the next states follow, as `NAME_next`."""
FOLD_BYTES = 1 << 26
"""Constants up to this size are computed while exporting; onnxscript stops at a few kB."""


@dataclass(frozen=True, slots=True, eq=False)
class ExportReport:
    """The exported decoder and its file."""

    decoder: StreamingDecoder
    """The decoder in torch."""
    path: Path
    sha256: str
    size_bytes: int
    opset: int
    classes: tuple[str, ...]
    state: tuple[Tensor, ...]
    """The state's tensors; each starts as zeros."""
    operators: Mapping[str, int]
    """Number of the graph's nodes of each type."""


def export_decoder(decoder: StreamingDecoder, classes: Sequence[str], path: Path) -> ExportReport:
    """Write a bundle's `decoder.onnx`; the same decoder gives the same bytes.

    Parameters
    ----------
    decoder
        The decoder in torch.
    classes
        Names of its outputs, in order.
    path
        The file to write.

    Raises
    ------
    ConfigError
        The classes do not fit the decoder.
    RunError
        The exporter made a slow graph: padding outside the convolutions, or a
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
            f"expected 0 and {recurrences}: refused, because it would be slow; "
            "use the pinned torch and onnxscript"
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


def _unread(decoder: StreamingDecoder) -> int:
    """Return the number of recurrences that belong to a network but are not evaluated."""
    return sum(isinstance(part, LayerEvidence) for part in decoder.modules())


def output_names(decoder: StreamingDecoder) -> tuple[str, ...]:
    """Return the names of the graph's outputs, in order."""
    return (*OUTPUTS, *(f"{name}_next" for name in decoder.initial_state()))


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
            output_names=output_names(decoder),
            # Folds the SAME padding into the convolutions, among other things.
            optimize=True,
        )
        if program is None:
            raise RunError("torch's exporter returned no graph")
        # The LSTM's weights are reordered for ONNX: once here, not at every start.
        optimizer.optimize(program.model, input_size_limit=FOLD_BYTES, output_size_limit=FOLD_BYTES)
    # Parts that read the same network have copies of it. Each layer is computed once.
    DeduplicateInitializersPass(size_limit=FOLD_BYTES)(program.model)
    CommonSubexpressionEliminationPass(size_limit=FOLD_BYTES)(program.model)
    return program.model


def _strip(model: onnx_ir.Model) -> None:
    """Remove the exporter's notes on this machine: source paths and stack traces."""
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
    """Hide the exporter's log messages and warnings from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
