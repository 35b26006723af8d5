"""What the scanner has to be set to, and whether a test series was."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rtdecode.check.context import Subject
from rtdecode.check.findings import CheckResult, Finding, green, grey
from rtdecode.dicom import OtherImageError
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.ledger import Ledger, centre, orientation, voxel_mm
from rtdecode.pipeline import Pipeline
from rtdecode.raw import parse_object
from rtdecode.types import Float64, Skipped, SkipReason, Stamps, Volume

GEOMETRY = "geometry"
MOST_SHIFT_MM, MOST_TURN_DEG = 20.0, 10.0
"""From which realignment finds its way home (`rtdecode.stages.reference`)."""


def check_geometry(subject: Subject) -> Finding:
    """Say what the bundle expects, and compare a test series with it where there is one."""
    bundle = subject.bundle
    expected = described(
        bundle.manifest.source_shape,
        bundle.space.reference_affine,
        bundle.manifest.repetition_time_s,
    )
    if not subject.plan.series:
        return grey(
            GEOMETRY, f"set the scanner to {expected}", "compare: give a test scan, --series FOLDER"
        )
    return _compared(subject.plan.series, subject.decoder, expected)


def described(shape: tuple[int, ...], affine: Float64, repetition_time_s: float) -> str:
    """Describe a volume as a console does.

    Parameters
    ----------
    shape
        (X, Y, Z).
    affine
        Voxel to scanner millimetres, RAS+, (4, 4).
    repetition_time_s
        Between volumes.
    """
    size_mm = voxel_mm(affine)
    field_mm = [n * mm for n, mm in zip(shape, size_mm, strict=True)]
    return (
        f"matrix {shape[0]} x {shape[1]}, {shape[2]} slices; voxels {size_mm[0]:.3g} x "
        f"{size_mm[1]:.3g} x {size_mm[2]:.3g} mm (field of view {field_mm[0]:.0f} x "
        f"{field_mm[1]:.0f} mm, slices cover {field_mm[2]:.0f} mm); TR {repetition_time_s:.4g} s; "
        f"{orientation(affine)}, centre {centre(shape, affine)}"
    )


def _compared(paths: Sequence[Path], decoder: Pipeline, expected: str) -> Finding:
    """Take a test series through the ledger and the decoder as the service does."""
    volume, notice = first_volume(paths, decoder)
    remedy = f"set the scanner to the calibration run's protocol, or calibrate again: {expected}"
    if volume is None:
        return Finding(GEOMETRY, CheckResult.RED, notice, remedy)
    before = decoder.state()
    outcome = decoder.step(volume)
    decoder.restore(before)
    if isinstance(outcome, Skipped) and outcome.reason in {
        SkipReason.WRONG_SERIES,
        SkipReason.CORRUPT,
    }:
        return Finding(
            GEOMETRY,
            CheckResult.RED,
            f"series {volume.identity.series_number} does not fit: {outcome.detail}",
            remedy,
        )
    found = described(volume.data.shape, volume.affine, volume.repetition_time_s)
    fits = f"series {volume.identity.series_number} fits: {found}"
    if outcome.motion is None:
        return green(GEOMETRY, fits)
    moved = outcome.motion.as_array()
    shift_mm = float(np.linalg.norm(moved[:3]))
    turn_deg = float(np.degrees(np.linalg.norm(moved[3:])))
    fits += (
        f". The head lies {shift_mm:.1f} mm and {turn_deg:.1f}° from where it was in the "
        "calibration run"
    )
    figures = {"head_shift_mm": shift_mm, "head_turn_deg": turn_deg}
    if shift_mm > MOST_SHIFT_MM or turn_deg > MOST_TURN_DEG:
        return Finding(
            GEOMETRY,
            CheckResult.YELLOW,
            f"{fits}: realignment is made for {MOST_SHIFT_MM:.0f} mm and {MOST_TURN_DEG:.0f}°",
            "place the head and the landmark as in the calibration run, or calibrate again",
            figures,
        )
    return green(GEOMETRY, fits, figures)


def first_volume(paths: Sequence[Path], decoder: Pipeline) -> tuple[Volume | None, str]:
    """Return the first whole volume of files that can be a run, or say why there is none.

    Raises
    ------
    ConfigError
        There are no files.
    """
    ledger = Ledger(protocol=decoder.protocol)
    logger = logging.getLogger("rtdecode.ledger")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # it is told in the table
    try:
        outcomes = itertools.chain(_fed(ledger, paths), ledger.close())
        volume = next((one for one in outcomes if isinstance(one, Volume)), None)
    finally:
        logger.setLevel(level)
    return volume, ledger.notice or "no volume of it is whole"


def _fed(ledger: Ledger, paths: Iterable[Path]) -> Iterator[Volume | Skipped]:
    unreadable = read = 0
    for path in _files(paths):
        read += 1
        try:
            parsed = parse_object(path.read_bytes(), f"file {read}")
        except OtherImageError as other:
            ledger.leave_out(other)
            continue
        except (VolumeError, OSError):
            unreadable += 1
            continue
        _, out = ledger.add(parsed, Stamps(), 0)
        yield from out
    if read == unreadable:
        raise ConfigError(
            f"--series: none of {read} files is a readable image; give the folder or the files of "
            "a series"
        )


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (found for found in sorted(path.rglob("*")) if found.is_file())
        else:
            yield path
