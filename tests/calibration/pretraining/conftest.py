"""Examples on a small grid: two states that light up two places, in three people."""

import numpy as np
import pytest

from calibration.pretraining.training_cohort import CohortExamples


@pytest.fixture
def mask() -> np.ndarray:
    """Return a mask on a grid of 12 x 10 x 4."""
    mask = np.zeros((12, 10, 4), dtype=bool)
    mask[2:10, 2:8, 1:3] = True
    return mask


@pytest.fixture
def examples(mask: np.ndarray, rng: np.random.Generator) -> CohortExamples:
    """Return 3 people with 4 blocks of 6 volumes each."""
    block = np.repeat(np.arange(12), 6)
    state = block % 2
    volumes = rng.standard_normal((len(block), int(mask.sum()))).astype(np.float32)
    volumes[state == 0, :30] += 1.5
    volumes[state == 1, 30:60] += 1.5
    return CohortExamples(
        volumes.astype(np.float16), state, np.repeat(np.arange(3), 24), block, ("one", "two"), mask
    )
