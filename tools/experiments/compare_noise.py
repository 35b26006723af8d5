#!/usr/bin/env python3
"""Compare simulated noise with a scanner's: temporal SNR, autocorrelation and smoothness.

  .venv/bin/python tools/experiments/compare_noise.py SERIES_FOLDER [--picture noise.png]

Simulated people at rest are scanned with the protocol of a real series (matrix, voxel size,
repetition time). Both are measured in the same way, in the brain (the largest bright region of the
mean image), after a quadratic trend is removed from every voxel. Motion is not corrected in either.

- Temporal SNR is the mean over the standard deviation.
- Autocorrelation is that of neighbouring volumes.
- Smoothness is the full width at half maximum of the Gaussian that gives the residuals' correlation
  between neighbouring voxels (as AFNI's 3dFWHMx -geom).
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from calibration.simulation import (
    EpiProtocol,
    ParticipantSettings,
    RunDesign,
    load_template,
    make_participant,
    simulate_run,
)
from rtdecode.dicom import assemble
from rtdecode.types import Bool, Float32, Float64

QUANTILES = (10, 50, 90)
HEAD_THRESHOLD = 0.45
"""A voxel above this fraction of the brightest tenth's mean belongs to the head."""


@dataclass(frozen=True)
class Noise:
    """The noise of one run, in the brain."""

    mean: Float64
    """The mean image, (X, Y, Z)."""
    spread: Float64
    """The standard deviation over time in % of the mean, (X, Y, Z)."""
    temporal_snr: Float64
    """The 10th, 50th and 90th percentile over voxels."""
    autocorrelation: Float64
    """The same percentiles of the correlation of neighbouring volumes."""
    fwhm_mm: float
    """The smoothness, full width at half maximum."""


def main() -> int:
    """Measure both, print the comparison, and draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("series", type=Path, help="folder of a recorded DICOM series")
    parser.add_argument("--picture", type=Path, help="file to draw both in")
    parser.add_argument("--people", type=int, default=5, help="number of simulated people (5)")
    parser.add_argument("--volumes", type=int, default=150, help="most volumes per run (150)")
    options = parser.parse_args()
    volumes = assemble([options.series])[: options.volumes]
    first = volumes[0]
    x_mm, y_mm, z_mm = np.linalg.norm(first.affine[:3, :3], axis=0).round(3).tolist()
    sizes_mm = (x_mm, y_mm, z_mm)
    real = measure(np.array([v.data for v in volumes]), sizes_mm)
    protocol = EpiProtocol(first.data.shape, sizes_mm, first.repetition_time_s)
    rest = RunDesign(
        blocks_per_state=1,
        block_s=1e-3,
        rest_s=0.0,
        lead_in_s=len(volumes) * first.repetition_time_s - 1e-2,
        protocol=protocol,
    )
    template = load_template()
    simulated = []
    for seed in range(options.people):
        participant = make_participant(template, ParticipantSettings(), seed)
        run = simulate_run(participant, rest, 1)
        simulated.append(measure(np.array([v.data for v in run.volumes()]), sizes_mm))
    show(real, simulated, f"{len(volumes)} volumes of {protocol}")
    if options.picture is not None:
        draw(real, simulated[0], options.picture)
    return 0


def measure(data: Float32, sizes_mm: tuple[float, float, float]) -> Noise:
    """Measure one run, (volumes, X, Y, Z), with voxels of these sizes."""
    mean = data.mean(axis=0, dtype=np.float64)
    brain = _brain(mean)
    time = np.linspace(-1, 1, len(data))
    trend = np.linalg.qr(np.stack([np.ones_like(time), time, time**2], 1))[0].astype(np.float32)
    flat = data.reshape(len(data), -1)
    residuals = (flat - trend @ (trend.T @ flat)).reshape(data.shape)
    spread = residuals.std(axis=0, dtype=np.float64)
    inside = residuals[:, brain]
    lagged = (inside[1:] * inside[:-1]).sum(axis=0) / np.maximum((inside**2).sum(axis=0), 1e-9)
    return Noise(
        mean=mean,
        spread=100 * spread / np.maximum(mean, 1.0) * brain,
        temporal_snr=np.percentile((mean / np.maximum(spread, 1e-9))[brain], QUANTILES),
        autocorrelation=np.percentile(lagged, QUANTILES),
        fwhm_mm=_fwhm_mm(residuals / np.maximum(spread, 1e-9), brain, sizes_mm),
    )


def _brain(mean: Float64) -> Bool:
    bright = mean[mean >= np.percentile(mean, 90)].mean()
    label, _ = ndimage.label(ndimage.binary_opening(mean > HEAD_THRESHOLD * bright, iterations=2))
    sizes = np.bincount(label.ravel())
    sizes[0] = 0
    return label == sizes.argmax()


def _fwhm_mm(residuals: Float32, brain: Bool, sizes_mm: tuple[float, float, float]) -> float:
    """Return the geometric mean of the residuals' Gaussian widths along the three axes."""
    widths = []
    for axis, size_mm in enumerate(sizes_mm):
        lower = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        upper = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        both = brain[lower] & brain[upper]
        one, other = residuals[(slice(None), *lower)], residuals[(slice(None), *upper)]
        correlation = float(np.mean(one[:, both] * other[:, both]))
        widths.append(size_mm * np.sqrt(-2 * np.log(2) / np.log(np.clip(correlation, 0.01, 0.99))))
    return float(np.prod(widths) ** (1 / 3))


def show(real: Noise, simulated: list[Noise], title: str) -> None:
    """Print the comparison."""
    table = Table("voxels of the brain", "real", "simulated people", box=box.SIMPLE, title=title)
    for name, digits in (("temporal_snr", 0), ("autocorrelation", 2)):
        for n, quantile in enumerate(QUANTILES):
            values = [getattr(each, name)[n] for each in simulated]
            table.add_row(
                f"{name.replace('_', ' ')}, {quantile} %",
                f"{getattr(real, name)[n]:.{digits}f}",
                f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to "
                f"{max(values):.{digits}f})",
            )
    widths = [each.fwhm_mm for each in simulated]
    table.add_row(
        "smoothness (FWHM), mm",
        f"{real.fwhm_mm:.1f}",
        f"{np.mean(widths):.1f} ({min(widths):.1f} to {max(widths):.1f})",
    )
    Console().print(table)


def draw(real: Noise, simulated: Noise, path: Path) -> None:
    """Draw mean images and temporal standard deviations, real above simulated."""
    figure = Figure(figsize=(11, 7.2), layout="constrained", facecolor="black")
    axes = figure.subplots(4, 6)
    for row, (one, name) in enumerate(((real, "real"), (simulated, "simulated"))):
        brain = np.flatnonzero((one.spread > 0).sum(axis=(0, 1)) > 100)
        bright = np.percentile(one.mean, 99.5)
        for column, place in enumerate(np.linspace(0.12, 0.88, 6)):
            z = brain[int(place * (len(brain) - 1))]
            for kind, (values, top, colours) in enumerate(
                ((one.mean, bright, "gray"), (one.spread, 4.0, "inferno"))
            ):
                panel = axes[2 * kind + row, column]
                # The first axis runs from right to left: the radiological convention.
                panel.imshow(values[:, :, z].T, cmap=colours, vmin=0, vmax=top, origin="lower")
                panel.set_axis_off()
                if column == 0:
                    what = ("mean EPI", "temporal s.d., 0 to 4 %")[kind]
                    panel.set_title(f"{name}: {what}", color="w", fontsize=9, loc="left")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
