"""The picture in which an operator checks a registration."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.registration import template
from calibration.registration.image_geometry import Shape, sample, voxel_centres_mm
from calibration.registration.registration_quality import Registration
from rtdecode.types import Float32, Float64

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DISPLAY_MM = 1.5
LOW_MM = np.array([-81.0, -117.0, -75.0])
HIGH_MM = np.array([81.0, 81.0, 87.0])
"""Corners of the visible box of MNI space."""

SLICES_MM = {
    2: (-40.0, -26.0, -12.0, 2.0, 16.0, 36.0, 56.0),
    1: (-85.0, -65.0, -45.0, -22.0, 0.0, 22.0, 45.0),
    0: (-55.0, -40.0, -22.0, 3.0, 22.0, 40.0, 55.0),
}
"""Positions of the slices in each orientation: axial, coronal, sagittal."""

ENDS = {2: ("L", "R"), 1: ("L", "R"), 0: ("P", "A")}
"""Labels of the left and right edges in each orientation."""

BACKGROUND, TEXT, QUIET = "#0e1116", "#e6e9ee", "#8b93a1"
OUTLINE, TISSUE = "#ffb454", "#4cc9f0"


def overlay(registration: Registration) -> bytes:
    """Return a PNG of the resampled EPI under the template's outlines, in three orientations.

    In a good registration the brain's outline follows the rim of the EPI's brain, and the outline
    of white matter follows its folds and ventricles. The left hemisphere is on the left.
    """
    # Imported here, because registration alone does not need matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = np.round((HIGH_MM - LOW_MM) / DISPLAY_MM).astype(int) + 1
    shape: Shape = (int(size[0]), int(size[1]), int(size[2]))
    affine = np.diag([DISPLAY_MM, DISPLAY_MM, DISPLAY_MM, 1.0])
    affine[:3, 3] = LOW_MM
    epi = sample(
        registration.epi_on_grid, registration.grid_affine, voxel_centres_mm(shape, affine)
    ).reshape(shape)
    brightest = float(np.percentile(registration.epi_on_grid[registration.mask], 99.5))

    figure = Figure(figsize=(14.0, 7.4), dpi=110, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        3, 7, gridspec_kw={"height_ratios": [198, 162, 133], "wspace": 0.03, "hspace": 0.03}
    )
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.06, top=0.89)
    layers = [
        (template.brain_mask(shape, affine), OUTLINE, 1.1),
        (template.white_matter(shape, affine), TISSUE, 0.55),
    ]
    for row, (axis, cuts) in enumerate(SLICES_MM.items()):
        for column, cut_mm in enumerate(cuts):
            _slice(axes[row, column], epi, brightest, layers, axis, cut_mm, affine)
    _add_text(figure, registration)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _slice(
    ax: Any,
    epi: Float32,
    brightest: float,
    layers: list[tuple[Any, str, float]],
    axis: int,
    cut_mm: float,
    affine: Float64,
) -> None:
    index = round((cut_mm - affine[axis, 3]) / DISPLAY_MM)
    ax.imshow(
        epi.take(index, axis=axis).T,
        origin="lower",
        cmap="gray",
        vmin=0,
        vmax=brightest,
        interpolation="bilinear",
    )
    for layer, colour, width in layers:
        cut = layer.take(index, axis=axis).T.astype(float)
        if cut.any() and not cut.all():
            ax.contour(cut, levels=[0.5], colors=colour, linewidths=width, alpha=0.9)
    ax.set_axis_off()
    edge = {"transform": ax.transAxes, "va": "center", "fontsize": 9}
    ax.text(0.02, 0.5, ENDS[axis][0], color=TEXT, ha="left", **edge)
    ax.text(0.98, 0.5, ENDS[axis][1], color=TEXT, ha="right", **edge)
    ax.text(
        *(0.03, 0.97, f"{'xyz'[axis]} = {cut_mm:+.0f} mm"),
        transform=ax.transAxes,
        color=QUIET,
        fontsize=8,
        va="top",
    )


def _add_text(figure: "Figure", registration: Registration) -> None:
    from matplotlib.lines import Line2D

    title = (
        f"Mean EPI in MNI space   ·   overlap {registration.overlap:.2f} (Dice)   ·   "
        f"{registration.covered:.0%} of the brain covered"
    )
    figure.text(0.012, 0.955, title, color=TEXT, fontsize=15, va="center")
    method = registration.method.partition(";")[0]
    below = registration.warnings[0] if registration.warnings else method
    colour = OUTLINE if registration.warnings else QUIET
    figure.text(0.012, 0.915, below, color=colour, fontsize=9, va="center")
    handles = [
        Line2D([], [], color=OUTLINE, linewidth=1.6, label="MNI brain"),
        Line2D([], [], color=TISSUE, linewidth=1.2, label="MNI white matter"),
    ]
    figure.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.005, 0.0),
        ncols=2,
        frameon=False,
        labelcolor=TEXT,
        fontsize=9,
    )
    hint = "Accept if both outlines follow the EPI: rim, ventricles, folds. Left is left."
    figure.text(0.988, 0.025, hint, color=QUIET, fontsize=9, ha="right", va="center")
