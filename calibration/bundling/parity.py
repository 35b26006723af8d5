"""Compare an exported decoder in ONNX Runtime with the same decoder in torch."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from calibration.bundling.compile import INPUTS, OUTPUTS, ExportReport, output_names
from calibration.networks import StreamingDecoder
from calibration.progress import Progress, silent
from rtdecode.errors import ConfigError, RunError
from rtdecode.types import Prepared, State

SAMPLE_VOLUMES = 22
"""Volumes that are compared with torch before the bundle is written."""


@dataclass(frozen=True, slots=True, eq=False)
class Parity:
    """Differences between ONNX Runtime and torch over a run; each keeps its own state."""

    volumes: int
    probability: float
    """Largest absolute difference of a probability, of either read-out."""
    state: float
    """Largest difference of a state value, relative where the value is beyond 1."""
    decided: NDArray[np.int64]
    """(volumes,) class that ONNX Runtime decided on, -1 for none."""

    def figures(self) -> dict[str, float]:
        """Return the figures that a bundle keeps."""
        return {"volumes": self.volumes, "probability": self.probability, "state": self.state}


def parity(
    export: ExportReport,
    run: Sequence[Prepared],
    progress: Progress = silent,
    limit: float = 1e-4,
    restore_after: int | None = None,
) -> Parity:
    """Step torch and ONNX Runtime side by side over a run and compare their outputs.

    Each keeps its own state, so that a difference may grow as it would during a scan.

    Parameters
    ----------
    export
        Result of `export_decoder`; its file is read again.
    run
        Prepared volumes in order, gaps and unusable volumes included.
    progress
        Called with the number of volumes compared.
    limit
        Largest difference to accept.
    restore_after
        After this number of volumes ONNX Runtime continues in a new session, with the state saved
        to a file and loaded again, as in a restarted service.

    Raises
    ------
    ConfigError
        The run is empty.
    RunError
        They differ by more than `limit`: the export is refused.
    """
    if not run:
        raise ConfigError("parity needs at least one prepared volume, and the run has none")
    # Both release Python's lock while they compute, so that they can run in parallel.
    with ThreadPoolExecutor(1, thread_name_prefix="torch") as pool:
        torch_outputs = pool.submit(_run_torch, export.decoder, run, progress)
        found = _run_onnx(export, run, restore_after)
        expected = torch_outputs.result()
    pairs = list(zip(expected, found, strict=True))
    states = [name for name in found[0] if name.endswith("_next")]
    result = Parity(
        len(run),
        max(_difference(one[name], other[name]) for one, other in pairs for name in OUTPUTS[:2]),
        max(_difference(one[name], other[name]) for one, other in pairs for name in states),
        np.array(
            [
                int(outputs["probabilities"].argmax()) if outputs["decided"] else -1
                for outputs in found
            ]
        ),
    )
    if max(result.probability, result.state) > limit:
        raise RunError(
            f"refused: over {result.volumes} volumes the exported decoder differs from torch by "
            f"{result.probability:.2g} in a probability and {result.state:.2g} in its state, "
            f"allowed {limit:g}"
        )
    return result


def parity_sample(run: Sequence[Prepared], window_volumes: int) -> list[Prepared]:
    """Return about twenty volumes that cover every case that a run may contain.

    They are from the middle of the run: consecutive volumes, an unusable one, a gap of one volume,
    a gap longer than the window, and unusable volumes after it.

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


def _save_and_load(state: State) -> State:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _run_torch(
    decoder: StreamingDecoder, run: Sequence[Prepared], progress: Progress
) -> list[State]:
    """Return torch's outputs and next state after each volume."""
    state, history = decoder.initial_state(), []
    for done, inputs in enumerate(_inputs(run), start=1):
        outputs, state = _step_torch(decoder, inputs | state)
        history.append(outputs)
        progress("compare with torch", done, len(run))
    return history


def _run_onnx(
    export: ExportReport, run: Sequence[Prepared], restore_after: int | None
) -> list[State]:
    """Return ONNX Runtime's outputs and next state after each volume."""
    session, names = _open(export.path), output_names(export.decoder)
    state, history = export.decoder.initial_state(), []
    for done, inputs in enumerate(_inputs(run), start=1):
        outputs = dict(zip(names, session.run(names, inputs | state), strict=True))
        state = {name: outputs[f"{name}_next"] for name in state}
        history.append(outputs)
        if done == restore_after:
            session, state = _open(export.path), _save_and_load(state)
    return history


def _inputs(run: Sequence[Prepared]) -> Iterator[State]:
    """Yield a decoder's inputs for each volume, without its state."""
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
    arrays = dict(zip(output_names(decoder), values, strict=True))
    return arrays, {name: arrays[f"{name}_next"] for name in state}


def _difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    difference = np.max(np.abs(expected - found) / np.maximum(np.abs(expected), 1))
    # NaN counts as an infinite difference.
    return float(np.nan_to_num(difference, nan=np.inf))
