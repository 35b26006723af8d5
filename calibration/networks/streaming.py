"""The streaming decoder: from a volume and the state to two read-outs and the next state."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from calibration.networks.evidence import Evidence
from calibration.networks.filter import filter_step, switching_rate
from calibration.networks.window import average, decide, leak, shift, slide
from rtdecode.errors import ConfigError
from rtdecode.types import State


@dataclass(frozen=True, slots=True)
class ReadOutSettings:
    """Settings of the read-outs, which turn evidence into probabilities and a decision."""

    window_volumes: int
    """Length L of the decision window, volumes. A filter gives a decision only if at least one of
    the last L volumes was usable."""
    temperature: float = 1.0
    """Divisor of the logits before they become probabilities (Guo et al. 2017)."""
    fast_retention: float = 2 / 3
    """Share of a volume's weight that remains one volume later in the fast read-out: a memory of
    1 / (1 - retention) volumes."""
    none_threshold: float = 0.0
    """Minimum of the largest probability for a decision."""
    dwell_volumes: float | None = None
    """Expected duration of a class in the filter, volumes. None: the window is used instead."""

    def problems(self) -> list[str]:
        """Return a description of each invalid setting."""
        problems = []
        if self.window_volumes < 1:
            problems.append(f"window_volumes is {self.window_volumes}: it must be at least 1")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            problems.append(f"temperature is {self.temperature}: it must be positive and finite")
        if not 0 <= self.fast_retention < 1:
            problems.append(
                f"fast_retention is {self.fast_retention}: it must be at least 0 and below 1"
            )
        if not 0 <= self.none_threshold <= 1:
            problems.append(f"none_threshold is {self.none_threshold}: it must be from 0 to 1")
        dwell = self.dwell_volumes
        if dwell is not None and not (math.isfinite(dwell) and dwell > 0):
            problems.append(f"dwell_volumes is {dwell}: it must be positive and finite")
        return problems


class StreamingDecoder(nn.Module):
    """The computation of a bundle's `decoder.onnx` for one volume.

    Parameters
    ----------
    evidence
        A module of `calibration.networks.evidence`, from a prepared volume (V,) to logits (K,).
    settings
        Settings of the two read-outs.

    Raises
    ------
    ConfigError
        A setting is not valid.
    """

    temperature: Tensor
    threshold: Tensor
    retention: Tensor
    rate: Tensor

    def __init__(self, evidence: Evidence, settings: ReadOutSettings) -> None:
        super().__init__()
        if problems := settings.problems():
            raise ConfigError(problems)
        dwell = settings.dwell_volumes
        self.evidence = evidence.eval()
        self.settings = settings
        self.voxels = evidence.voxels
        self.classes = evidence.classes
        for name, value in (
            ("temperature", settings.temperature),
            ("threshold", settings.none_threshold),
            ("retention", settings.fast_retention),
            ("rate", 0.0 if dwell is None else switching_rate(dwell, self.classes)),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def initial_state(self) -> State:
        """Return a state without evidence, float32, all zeros, in the order of `forward`.

        `evidence` (L, K) and `weight` (L,) are the window's, `fast_evidence` (K,) and
        `fast_weight` () the leaky sum's. A filter has `belief` (K,), its log-posterior, in place of
        `evidence`. In both cases `weight` marks the usable ones of the last L volumes.
        """
        length = self.settings.window_volumes
        memory = (
            {"evidence": np.zeros((length, self.classes), np.float32)}
            if self.settings.dwell_volumes is None
            else {"belief": np.zeros(self.classes, np.float32)}
        )
        return {
            **memory,
            "weight": np.zeros(length, np.float32),
            "fast_evidence": np.zeros(self.classes, np.float32),
            "fast_weight": np.zeros((), np.float32),
        }

    def forward(
        self,
        volume: Tensor,
        usable: Tensor,
        elapsed: Tensor,
        memory: Tensor,
        weight: Tensor,
        fast_evidence: Tensor,
        fast_weight: Tensor,
    ) -> tuple[Tensor, ...]:
        """Decode one volume and update both read-outs.

        Parameters
        ----------
        volume
            Prepared voxels in C order of the mask, (V,), float32.
        usable
            1 if the volume is usable as evidence, else 0; (), float32.
        elapsed
            Difference of its index and the previous volume's, at least 1; (), int64.
        memory
            Log-probabilities in the window, newest last, (L, K), or the filter's log-posterior,
            (K,).
        weight
            1 for each usable one of the last L volumes, else 0; (L,).
        fast_evidence
            The leaky sum of log-probabilities, (K,).
        fast_weight
            The sum of the weights, ().

        Returns
        -------
        probabilities (K,), fast_probabilities (K,), decided (), volume_log_probabilities (K,), and
        the next values
        of the state
        """
        newest = torch.log_softmax(self.evidence(volume) / self.temperature, dim=0)
        if self.settings.dwell_volumes is None:
            memory, weight = slide(memory, weight, newest, usable, elapsed)
            probabilities = decide(average(memory, weight), weight.sum())
        else:
            probabilities, memory = filter_step(memory, newest, usable, elapsed, self.rate)
            weight = shift(weight, usable, elapsed)
        retention = self.retention ** elapsed.to(torch.float32)
        fast_evidence, fast_weight = leak(fast_evidence, fast_weight, newest, usable, retention)
        fast = decide(fast_evidence, fast_weight)
        decided = (probabilities.max() >= self.threshold).to(torch.float32)
        state = (memory, weight, fast_evidence, fast_weight)
        return probabilities, fast, decided, newest, *state
