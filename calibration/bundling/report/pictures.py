"""Pictures of the brain, as PNG inside the page."""

import base64
import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from rtdecode.stages import Space
from rtdecode.stages.resample import dilate
from rtdecode.types import Bool, Float32, Float64

SLICES = 8
BACKGROUND, TEXT = "#0e1116", "#e6e9ee"
SHOWN = 0.95
"""Quantile of absolute relevance from which a voxel is coloured."""
SMOOTHED_VOXELS = 0.8
"""Sigma of the Gaussian filter: single voxels of a map cannot be seen."""


def on_epi(values: Float64, space: Space) -> Float32:
    """Put a map over the decoder's voxels, (V,), onto the reference EPI's voxels, (X, Y, Z).

    Each EPI voxel gets the mean of the decoder's voxels that lie in it; 0 where there are none.
    """
    inside = space.mask[dilate(space.mask)]
    points_mm = space.coordinates_mm[inside]
    to_voxel = np.linalg.inv(space.reference_affine)
    place = np.rint(points_mm @ to_voxel[:3, :3].T + to_voxel[:3, 3]).astype(int)
    shape = np.array(space.reference.shape)
    fits = ((place >= 0) & (place < shape)).all(axis=1)
    index = np.ravel_multi_index(tuple(place[fits].T), space.reference.shape)
    count = np.bincount(index, minlength=space.reference.size)
    total = np.bincount(index, weights=values[fits], minlength=space.reference.size)
    return (total / np.maximum(count, 1)).reshape(space.reference.shape).astype(np.float32)


def relevance_png(values: Float64, space: Space) -> bytes:
    """Draw a relevance map on axial slices of the subject's own mean EPI.

    Warm voxels speak for the class, cold ones against it.
    """
    epi, inside = space.reference, on_epi(np.ones_like(values), space) > 0
    volume = np.where(inside, gaussian_filter(on_epi(values, space), SMOOTHED_VOXELS), 0)
    cuts = _cuts(volume)
    rows, columns = (slice(a, b) for a, b in _bounds(inside))
    sizes = np.abs(volume[volume != 0])
    least, limit = np.quantile(sizes, (SHOWN, 0.999)).tolist() if sizes.size else (1.0, 1.0)
    figure = Figure(figsize=(12, 1.8), dpi=140, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, SLICES, gridspec_kw={"wspace": 0.02})
    figure.subplots_adjust(left=0, right=1, top=1, bottom=0)
    flip_x = space.reference_affine[0, 0] < 0
    brightest = float(np.percentile(epi, 99.5))
    for axis, cut in zip(axes, cuts, strict=True):
        ground, map_ = (
            np.rot90(v[::-1] if flip_x else v)
            for v in (epi[rows, columns, cut], volume[rows, columns, cut])
        )
        axis.imshow(ground, cmap="gray", vmin=0, vmax=brightest)
        strong = np.where(np.abs(map_) < least, np.nan, map_)
        axis.imshow(np.where(strong > 0, strong, np.nan), cmap="autumn", vmin=least, vmax=limit)
        axis.imshow(np.where(strong < 0, -strong, np.nan), cmap="cool_r", vmin=least, vmax=limit)
        axis.set_axis_off()
    axes[0].text(0.03, 0.05, "L", color=TEXT, fontsize=9, transform=axes[0].transAxes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=BACKGROUND)
    return buffer.getvalue()


def _cuts(volume: Float32) -> NDArray[np.int64]:
    """Return the axial slices to show, evenly spaced over those with nearly all of the map."""
    share = np.cumsum(np.abs(volume).sum(axis=(0, 1)))
    if not share[-1] > 0:
        return np.linspace(0, volume.shape[2] - 1, SLICES).astype(np.int64)
    first, last = np.searchsorted(share / share[-1], (0.02, 0.98))
    return np.linspace(first, last, SLICES).round().astype(np.int64)


def _bounds(inside: Bool) -> list[tuple[int, int]]:
    """Return the limits of the brain along x and y, with a rim."""
    found = []
    for axis in (0, 1):
        within = np.flatnonzero(inside.any(axis=(1 - axis, 2)))
        first, last = (within[0], within[-1]) if len(within) else (0, inside.shape[axis] - 1)
        found.append((max(0, int(first) - 3), int(last) + 4))
    return found


def data_uri(png: bytes) -> str:
    """Return the address of a picture inside a page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
