"""The streaming decoder: a volume and the state in, two read-outs and the next state out."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from calibration.networks.evidence import Evidence
from calibration.networks.window import average, decide, leak, slide
from rtdecode.errors import ConfigError
from rtdecode.types import State


@dataclass(frozen=True, slots=True)
class ReadOutSettings:
    """How evidence becomes probabilities and a decision."""

    window_volumes: int
    """Length L of the decision window."""
    temperature: float = 1.0
    """What the logits are divided by before they become probabilities (Guo et al. 2017)."""
    fast_retention: float = 2 / 3
    """What is left of a volume's weight one volume later in the fast read-out: a memory of
    1 / (1 - retention) volumes."""
    none_threshold: float = 0.0
    """The largest probability must reach it, or nothing is decided."""

    def problems(self) -> list[str]:
        """Return what is wrong with these settings, in words."""
        found = []
        if self.window_volumes < 1:
            found.append(f"window_volumes is {self.window_volumes}: at least 1 volume")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            found.append(f"temperature is {self.temperature}: it must be positive and finite")
        if not 0 <= self.fast_retention < 1:
            found.append(f"fast_retention is {self.fast_retention}: from 0 to below 1")
        if not 0 <= self.none_threshold <= 1:
            found.append(f"none_threshold is {self.none_threshold}: from 0 to 1")
        return found


class StreamingDecoder(nn.Module):
    """What a bundle's `decoder.onnx` computes for one volume.

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

    def __init__(self, evidence: Evidence, settings: ReadOutSettings) -> None:
        super().__init__()
        if problems := settings.problems():
            raise ConfigError(problems)
        self.evidence = evidence.eval()
        self.settings = settings
        self.voxels = evidence.voxels
        self.classes = evidence.classes
        for name, value in (
            ("temperature", settings.temperature),
            ("threshold", settings.none_threshold),
            ("retention", settings.fast_retention),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def initial_state(self) -> State:
        """Return a state without evidence, float32.

        `evidence` (L, K) and `weight` (L,) are the window's, `fast_evidence` (K,) and
        `fast_weight` () the leaky sum's.
        """
        length = self.settings.window_volumes
        return {
            "evidence": np.zeros((length, self.classes), np.float32),
            "weight": np.zeros(length, np.float32),
            "fast_evidence": np.zeros(self.classes, np.float32),
            "fast_weight": np.zeros((), np.float32),
        }

    def forward(
        self,
        volume: Tensor,
        usable: Tensor,
        elapsed: Tensor,
        evidence: Tensor,
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
        evidence
            Log-probabilities in the window, newest last, (L, K).
        weight
            Their weights, (L,).
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
        evidence, weight = slide(evidence, weight, newest, usable, elapsed)
        kept = self.retention ** elapsed.to(torch.float32)
        fast_evidence, fast_weight = leak(fast_evidence, fast_weight, newest, usable, kept)
        probabilities = decide(average(evidence, weight), weight.sum())
        fast = decide(fast_evidence, fast_weight)
        decided = (probabilities.max() >= self.threshold).to(torch.float32)
        return (
            probabilities, fast, decided, newest, evidence, weight, fast_evidence, fast_weight,
        )  # fmt: skip
