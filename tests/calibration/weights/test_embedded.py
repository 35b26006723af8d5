"""The weights that rtdecode ships."""

import numpy as np
import pytest
import torch

from calibration.pretraining.grid import GRID_SHAPE, SMOOTHING_FWHM_MM, grid_affine
from calibration.weights import EMBEDDED, describe, embedded
from calibration.weights.pretrained import load_pretrained


@pytest.mark.parametrize("name", EMBEDDED)
def test_they_are_small_and_say_what_they_are(name):
    """Under 2 MiB, with a card that names the recipe and what nobody may conclude."""
    path = embedded(name)
    assert path.stat().st_size < 2 << 20
    about = describe(path)
    assert "tools/pretrain_simulated" in about.source  # where the recipe was when they were made
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    recipe = "tools/experiments/pretrain_simulated.py"
    for words in (recipe, "No person was scanned", "BSD-3-Clause"):
        assert words in card


def test_they_read_the_small_grid():
    """Loaded by name, in single precision, on the grid that they learnt on."""
    found = load_pretrained("deeplight-2d-4mm-sim")
    assert found.grid_shape == GRID_SHAPE
    np.testing.assert_array_equal(found.grid_affine, grid_affine())
    assert found.smoothing_fwhm_mm == SMOOTHING_FWHM_MM
    assert all(p.dtype is torch.float32 for p in found.network.parameters())
    assert all(torch.isfinite(p).all() for p in found.network.parameters())
    with torch.inference_mode():
        assert found.network(torch.zeros(1, *GRID_SHAPE)).shape == (1, len(found.states))
