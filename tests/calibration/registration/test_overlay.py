"""The picture for the operator."""

import numpy as np
from matplotlib import image

from calibration.registration import Registration, overlay
from calibration.registration.template import on_grid
from rtdecode.stages.resample import dilate


def test_the_picture_shows_brain_outlines_and_words(participant, tmp_path) -> None:
    """It is written, wide enough for 21 slices, and has grey, both outlines' colours and text."""
    grid = on_grid(participant.grid_shape, participant.grid_affine)
    registration = Registration(
        coordinates_mm=participant.truth_mm(dilate(grid.mask)),
        mask=grid.mask,
        grid_affine=participant.grid_affine,
        epi_on_grid=grid.t1.data,
        overlap=0.93,
        covered=0.87,
        information=0.3,
        method="made by hand",
        warnings=("The EPI's field of view holds 87% of the brain.",),
    )
    path = tmp_path / "overlay.png"
    path.write_bytes(overlay(registration))
    pixels = image.imread(path)[..., :3]
    assert pixels.shape[1] > 1200
    red, green, blue = np.moveaxis(pixels, -1, 0)
    assert ((red > 0.9) & (blue < 0.5)).sum() > 2000, "no outline of the brain"
    assert ((blue > 0.8) & (red < 0.5)).sum() > 2000, "no outline of the white matter"
    assert ((abs(red - blue) < 0.01) & (green > 0.3)).sum() > 50_000, "no image"
    assert pixels[:80].std() > 0.05, "no title"
