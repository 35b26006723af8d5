"""From a volume to a decision: the stages, then `decoder.onnx` in ONNX Runtime.

Only one thread may use an engine. `state()` is its whole memory: after `restore`, the next volume
gives a bit-identical decision on the same machine, provider and thread count.
"""

import contextlib
import ctypes
import logging
import sys
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
)
from onnxruntime.capi.onnxruntime_pybind11_state import (
    NotImplemented as NotRunnable,
)

from rtdecode.bundle import Bundle
from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import BundleError, ConfigError, ProtocolError, VolumeError
from rtdecode.ledger import ScanProtocol
from rtdecode.stages import Preparation
from rtdecode.types import NONE, Decision, Identity, Prepared, State, Volume

log = logging.getLogger(__name__)

Provider = Literal["cpu", "cuda", "auto"]
_ORT_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_PREPARATION = "preparation/"
_DECODER = "decoder/"
_LAST_INDEX = "last_index"
_WEIGHT = "weight"
"""A state of every graph: the evidence weight of each volume in the window."""
OUTPUTS = ("probabilities", "fast_probabilities", "decided")
"""The graph's outputs for each volume; the other outputs are its next state."""


class Engine:
    """A calibrated decoder for the volumes of a run.

    Parameters
    ----------
    bundle
        From `rtdecode.bundle.load`.
    provider
        `cpu`, `cuda` (refuses to start without it) or `auto` (CUDA where there is a GPU).
    threads
        Number of CPU threads of the network; the stages always use one.
    clock
        For the stamps.

    Raises
    ------
    ConfigError
        The provider is not available.
    BundleError
        The graph does not have the inputs and outputs of the manifest.
    """

    def __init__(
        self,
        bundle: Bundle,
        provider: Provider = "cpu",
        threads: int = 1,
        clock: Clock | None = None,
    ) -> None:
        self.bundle = bundle
        self._clock = clock or SystemClock()
        self._preparation = Preparation(bundle.space, bundle.manifest.preparation, self._clock)
        self._session, self.provider = _open_session(bundle, provider, threads)
        self._device = self.provider
        _check_graph(self._session, bundle)
        initial = _part(bundle.initial_state, _PREPARATION)
        self._prepared_state: State = {**self._preparation.initial_state(), **initial}
        self._decoder = {
            tensor.name: self._to_device(np.zeros(tensor.shape, dtype=tensor.dtype))
            for tensor in bundle.manifest.state
        }
        self._last_index = -1
        self.protocol = ScanProtocol.from_reference(
            bundle.manifest.source_shape,
            bundle.space.reference_affine,
            bundle.manifest.repetition_time_s,
        )

    def step(self, volume: Volume) -> Decision:
        """Prepare one volume and decide.

        A volume that is not usable (`quality.usable` is False) still gets a decision: the decision
        of the window or the filter without it. Without any evidence all classes are equally
        probable.

        Raises
        ------
        ProtocolError
            The volume was acquired with another protocol.
        VolumeError
            The volume has values that are not finite, or is not later than the one before.
        """
        self._check_protocol(volume)
        elapsed = self._elapsed(volume)
        prepared_state, prepared = self._preparation.step(self._prepared_state, volume, elapsed)
        outputs, weight = self._decode(prepared, elapsed)
        probabilities = outputs["probabilities"]
        self._prepared_state, self._last_index = prepared_state, volume.index
        classes = self.bundle.manifest.classes
        return Decision(
            index=volume.index,
            probabilities=tuple(float(p) for p in probabilities),
            fast=tuple(float(p) for p in outputs["fast_probabilities"]),
            label=classes[int(np.argmax(probabilities))] if outputs["decided"] else NONE,
            window_volumes=int(np.count_nonzero(weight)),
            motion=prepared.motion,
            quality=prepared.quality,
            bundle=self.bundle.digest,
            acquired_s=volume.acquired_s,
            stamps=replace(prepared.stamps, decided_ns=self._clock.monotonic_ns()),
        )

    def state(self) -> State:
        """Return everything the next decision depends on, as named arrays."""
        return {
            **{_PREPARATION + name: array for name, array in self._prepared_state.items()},
            **{_DECODER + name: value.numpy().copy() for name, value in self._decoder.items()},
            _LAST_INDEX: np.array(self._last_index, dtype=np.int64),
        }

    def restore(self, state: State) -> None:
        """Continue from a result of `state`."""
        self._prepared_state = _part(state, _PREPARATION)
        self._decoder = {n: self._to_device(a) for n, a in _part(state, _DECODER).items()}
        self._last_index = int(state[_LAST_INDEX])

    def warm_up(self) -> None:
        """Compile the stages and run the decoder twice; the state is unchanged afterwards."""
        before = self.state()
        shape = self.bundle.manifest.source_shape
        blank = Volume(
            index=self._last_index + 1,
            data=np.asarray(self.bundle.space.reference, dtype=np.float32).reshape(shape),
            affine=self.bundle.space.reference_affine,
            acquired_s=0.0,
            repetition_time_s=self.bundle.manifest.repetition_time_s,
            identity=Identity(series="", series_number=0, acquisition=0),
        )
        for offset in range(2):
            self.step(replace(blank, index=blank.index + offset))
        self.restore(before)

    def _check_protocol(self, volume: Volume) -> None:
        differences = self.protocol.differences(
            volume.data.shape, volume.affine, volume.repetition_time_s
        )
        if differences:
            raise ProtocolError(f"{'; '.join(differences)}; use the calibration run's protocol")

    def _elapsed(self, volume: Volume) -> int:
        if self._last_index >= 0 and volume.index <= self._last_index:
            raise VolumeError(
                f"volume {volume.index} is not later than volume {self._last_index}, "
                "which was decoded already; volumes must come in order"
            )
        return volume.index - self._last_index if self._last_index >= 0 else 1

    def _decode(self, prepared: Prepared, elapsed: int) -> tuple[dict[str, Any], Any]:
        binding = self._session.io_binding()
        binding.bind_cpu_input("volume", np.ascontiguousarray(prepared.data, dtype=np.float32))
        binding.bind_cpu_input("usable", np.array(prepared.quality.usable, dtype=np.float32))
        binding.bind_cpu_input("elapsed", np.array(elapsed, dtype=np.int64))
        for name, value in self._decoder.items():
            binding.bind_ortvalue_input(name, value)
        # The state stays on the network's device; only the outputs are copied.
        for name in OUTPUTS:
            binding.bind_output(name, "cpu", 0)
        for name in self._decoder:
            binding.bind_output(f"{name}_next", self._device, 0)
        self._session.run_with_iobinding(binding)
        values = binding.get_outputs()
        self._decoder = dict(zip(self._decoder, values[len(OUTPUTS) :], strict=True))
        outputs = {name: value.numpy() for name, value in zip(OUTPUTS, values, strict=False)}
        return outputs, self._decoder[_WEIGHT].numpy()

    def _to_device(self, array: Any) -> Any:
        # np.ascontiguousarray would turn a scalar into a vector of length 1.
        contiguous = np.asarray(array, order="C")
        return ort.OrtValue.ortvalue_from_numpy(contiguous, self._device, 0)


def _part(state: State, prefix: str) -> State:
    return {n.removeprefix(prefix): a for n, a in state.items() if n.startswith(prefix)}


def _check_graph(session: Any, bundle: Bundle) -> None:
    """Refuse a graph whose inputs or outputs differ from the manifest."""
    voxels, classes = int(bundle.space.mask.sum()), len(bundle.manifest.classes)
    state = {tensor.name: tensor.shape for tensor in bundle.manifest.state}
    wanted = {
        "input": {"volume": (voxels,), "usable": (), "elapsed": (), **state},
        "output": {
            **dict.fromkeys(OUTPUTS[:2], (classes,)),
            "decided": (),
            **{f"{name}_next": shape for name, shape in state.items()},
        },
    }
    found = {
        "input": {i.name: tuple(i.shape) for i in session.get_inputs()},
        "output": {o.name: tuple(o.shape) for o in session.get_outputs()},
    }
    problems = [
        f"{bundle.path}/decoder.onnx: {side} {name} must be {shape}, and is "
        f"{found[side].get(name, 'missing')}; calibrate again"
        for side, shapes in wanted.items()
        for name, shape in shapes.items()
        if found[side].get(name) != tuple(shape)
    ]
    if _WEIGHT not in state:
        problems.append(f"{bundle.path}: the manifest names no state {_WEIGHT}; calibrate again")
    if problems:
        raise BundleError(problems)


def _open_session(bundle: Bundle, provider: Provider, threads: int) -> tuple[Any, str]:
    """Open a session with the requested provider, and return both."""
    wanted = provider
    if provider == "auto":
        wanted = "cuda" if _has_cuda_build() and has_cuda_device() else "cpu"
    if wanted == "cuda" and not _has_cuda_build():
        raise ConfigError(
            "--provider cuda: this onnxruntime was built without CUDA; install onnxruntime-gpu "
            "(and remove onnxruntime), or use --provider cpu"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # A thread that spins between volumes would use a core that realignment needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [_ORT_NAMES["cpu"]]
    if wanted == "cuda":
        # It prints missing libraries, and standard output is for results.
        with contextlib.redirect_stdout(sys.stderr):
            ort.preload_dlls()
        # TF32 would round the products to 10 bits; parity with torch was measured without it.
        cuda = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
        providers.insert(0, (_ORT_NAMES["cuda"], cuda))
    try:
        session = ort.InferenceSession(bundle.decoder, options, providers=providers)
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotRunnable) as error:
        raise BundleError(
            f"{bundle.path}/decoder.onnx: ONNX Runtime cannot load it: {error}; calibrate again "
            "with this version of rtdecode"
        ) from error
    in_use = session.get_providers()[0]
    if provider == "auto" and in_use == _ORT_NAMES["cpu"] != _ORT_NAMES[wanted]:
        log.warning(
            "there is a GPU, and onnxruntime cannot use it; the decoder runs on the CPU. For CUDA "
            "install its libraries: pip install 'rtdecode[cuda]'"
        )
        return session, "cpu"
    if in_use != _ORT_NAMES[wanted]:
        raise ConfigError(
            f"--provider {provider}: onnxruntime fell back to {in_use}; install the CUDA 13 and "
            "cuDNN 9 libraries (pip install 'rtdecode[cuda]') or use --provider cpu"
        )
    return session, wanted


def _has_cuda_build() -> bool:
    return _ORT_NAMES["cuda"] in ort.get_available_providers()


def has_cuda_device() -> bool:
    """Whether the NVIDIA driver is installed and finds a GPU; CUDA is not loaded."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 < count.value
