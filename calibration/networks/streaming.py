"""The streaming decoder: a volume and the state in, two read-outs and the next state out."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from calibration.networks.evidence import Evidence
from calibration.networks.filter import filtered, switching
from calibration.networks.window import average, decide, leak, shift, slide
from rtdecode.errors import ConfigError
from rtdecode.types import State


@dataclass(frozen=True, slots=True)
class ReadOutSettings:
    """Settings of the read-outs, which turn evidence into probabilities and a decision."""

    window_volumes: int
    """Over how many volumes L evidence counts: the length of the decision window. Of a filter: in
    how many of the last volumes one must have been usable for its answer to be a decision."""
    temperature: float = 1.0
    """Divisor of the logits before they become probabilities (Guo et al. 2017)."""
    fast_retention: float = 2 / 3
    """Share of a volume's weight that remains one volume later in the fast read-out: a memory of
    1 / (1 - retention) volumes."""
    none_threshold: float = 0.0
    """The largest probability must reach it, or nothing is decided."""
    dwell_volumes: float | None = None
    """Expected duration of a class in the filter, volumes; None: the window decides."""

    def problems(self) -> list[str]:
        """Return what is wrong with these settings, in words."""
        problems = []
        if self.window_volumes < 1:
            problems.append(f"window_volumes is {self.window_volumes}: at least 1 volume")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            problems.append(f"temperature is {self.temperature}: it must be positive and finite")
        if not 0 <= self.fast_retention < 1:
            problems.append(f"fast_retention is {self.fast_retention}: from 0 to below 1")
        if not 0 <= self.none_threshold <= 1:
            problems.append(f"none_threshold is {self.none_threshold}: from 0 to 1")
        dwell = self.dwell_volumes
        if dwell is not None and not (math.isfinite(dwell) and dwell > 0):
            problems.append(f"dwell_volumes is {dwell}: it must be positive and finite")
        return problems


class StreamingDecoder(nn.Module):
    """The computation of a bundle's `decoder.onnx` for one volume.

    Parameters
    ----------
    evidence
        From a prepared volume (V,) to logits (K,): a module of `calibration.networks.evidence`.
    settings
        Of the two read-outs.

    Raises
    ------
    ConfigError
        The settings make no sense.
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
            ("rate", 0.0 if dwell is None else switching(dwell, self.classes)),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def initial_state(self) -> State:
        """Return a state without evidence, float32, all zeros, in the order of `forward`.

        `evidence` (L, K) and `weight` (L,) are the window's, `fast_evidence` (K,) and
        `fast_weight` () the leaky sum's. A filter has `belief` (K,), its log-posterior, in place of
        `evidence`. `weight` says which of the last L volumes were usable, in either case.
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
        """Decode one volume and move both read-outs on.

        Parameters
        ----------
        volume
            Prepared voxels in C order of the mask, (V,), float32.
        usable
            1 where the volume counts as evidence, else 0; (), float32.
        elapsed
            Its index minus the index of the volume before, at least 1; (), int64.
        memory
            Log-probabilities in the window, newest last, (L, K), or the filter's log-posterior,
            (K,).
        weight
            Which of the last L volumes were usable, (L,).
        fast_evidence
            The leaky sum of log-probabilities, (K,).
        fast_weight
            The sum of its weights, ().

        Returns
        -------
        probabilities (K,), fast_probabilities (K,), decided (), volume_log_probabilities (K,), and
        the next of each state
        """
        newest = torch.log_softmax(self.evidence(volume) / self.temperature, dim=0)
        if self.settings.dwell_volumes is None:
            memory, weight = slide(memory, weight, newest, usable, elapsed)
            probabilities = decide(average(memory, weight), weight.sum())
        else:
            probabilities, memory = filtered(memory, newest, usable, elapsed, self.rate)
            weight = shift(weight, usable, elapsed)
        kept = self.retention ** elapsed.to(torch.float32)
        fast_evidence, fast_weight = leak(fast_evidence, fast_weight, newest, usable, kept)
        fast = decide(fast_evidence, fast_weight)
        decided = (probabilities.max() >= self.threshold).to(torch.float32)
        return (
            probabilities, fast, decided, newest, memory, weight, fast_evidence, fast_weight,
        )  # fmt: skip
