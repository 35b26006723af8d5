"""The chosen decoder: one candidate, or several that are added with their shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.decoders.head import log_softmax
from rtdecode.types import Float64

Preference = Literal["best", "deep", "linear", "stack", "pool"]

STACK = "deep and linear together"
POOL = "pool with prior"


@dataclass(frozen=True, slots=True)
class DecoderChoice:
    """The chosen decoder: one candidate, or two with their shares."""

    name: str
    parts: tuple[str, ...]
    """The candidates whose logits are added."""
    shares: tuple[float, ...]
    """The share of each part. All discriminants give logits at a common scale, also across folds
    with different choices."""
    reason: str

    def combine(self, evidence: Mapping[str, Float64]) -> Float64:
        """Return the decoder's log-probabilities, (n, K), from the evidence of its parts."""
        pairs = zip(self.parts, self.shares, strict=True)
        return log_softmax(sum((w * evidence[part] for part, w in pairs), start=np.zeros(())))
