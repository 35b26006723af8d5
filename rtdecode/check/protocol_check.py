"""Check of the scan protocol: expected values, and comparison with a test scan."""

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rtdecode.check.context import CheckContext
from rtdecode.check.findings import CheckResult, Finding, green, grey
from rtdecode.dicom import OtherImageError
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.ledger import Ledger, centre, orientation, voxel_mm
from rtdecode.pipeline import Pipeline
from rtdecode.raw import parse_object
from rtdecode.types import Float64, Skipped, SkipReason, Stamps, Volume

GEOMETRY = "geometry"
MAX_SHIFT_MM, MAX_ROTATION_DEG = 20.0, 10.0
"""Range that realignment can correct (`rtdecode.stages.reference`)."""


def check_geometry(context: CheckContext) -> Finding:
    """Report the protocol that the bundle expects, and compare a test scan with it if given."""
    bundle = context.bundle
    expected = describe_protocol(
        bundle.manifest.source_shape,
        bundle.space.reference_affine,
        bundle.manifest.repetition_time_s,
    )
    if not context.plan.series:
        return grey(
            GEOMETRY,
            f"set the scanner to {expected}",
            "to compare a test scan, give --series FOLDER",
        )
    return _compare(context.plan.series, context.decoder, expected)


def describe_protocol(shape: tuple[int, ...], affine: Float64, repetition_time_s: float) -> str:
    """Describe a scan protocol in the terms of a scanner console.

    Parameters
    ----------
    shape
        Matrix (X, Y, Z).
    affine
        Matrix from voxels to scanner millimetres, RAS+, (4, 4).
    repetition_time_s
        Time between volumes.
    """
    size_mm = voxel_mm(affine)
    field_mm = [n * mm for n, mm in zip(shape, size_mm, strict=True)]
    return (
        f"matrix {shape[0]} x {shape[1]}, {shape[2]} slices; voxels {size_mm[0]:.3g} x "
        f"{size_mm[1]:.3g} x {size_mm[2]:.3g} mm (field of view {field_mm[0]:.0f} x "
        f"{field_mm[1]:.0f} mm, slices cover {field_mm[2]:.0f} mm); TR {repetition_time_s:.4g} s; "
        f"{orientation(affine)}, centre {centre(shape, affine)}"
    )


def _compare(paths: Sequence[Path], decoder: Pipeline, expected: str) -> Finding:
    """Process a test scan with the ledger and the decoder, as the service does."""
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
    found = describe_protocol(volume.data.shape, volume.affine, volume.repetition_time_s)
    fits = f"series {volume.identity.series_number} fits: {found}"
    if outcome.motion is None:
        return green(GEOMETRY, fits)
    motion = outcome.motion.as_array()
    shift_mm = float(np.linalg.norm(motion[:3]))
    rotation_deg = float(np.degrees(np.linalg.norm(motion[3:])))
    fits += (
        f". The head is {shift_mm:.1f} mm and {rotation_deg:.1f}° away from its position in the "
        "calibration run"
    )
    figures = {"head_shift_mm": shift_mm, "head_turn_deg": rotation_deg}
    if shift_mm > MAX_SHIFT_MM or rotation_deg > MAX_ROTATION_DEG:
        return Finding(
            GEOMETRY,
            CheckResult.YELLOW,
            f"{fits}: realignment corrects up to {MAX_SHIFT_MM:.0f} mm and {MAX_ROTATION_DEG:.0f}°",
            "place the head and the landmark as in the calibration run, or calibrate again",
            figures,
        )
    return green(GEOMETRY, fits, figures)


def first_volume(paths: Sequence[Path], decoder: Pipeline) -> tuple[Volume | None, str]:
    """Return the first whole volume of the files, or the reason why there is none.

    Raises
    ------
    ConfigError
        There are no files.
    """
    ledger = Ledger(protocol=decoder.protocol)
    logger = logging.getLogger("rtdecode.ledger")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # the table reports it
    try:
        outcomes = itertools.chain(_feed(ledger, paths), ledger.close())
        volume = next((one for one in outcomes if isinstance(one, Volume)), None)
    finally:
        logger.setLevel(level)
    return volume, ledger.notice or "it has no whole volume"


def _feed(ledger: Ledger, paths: Iterable[Path]) -> Iterator[Volume | Skipped]:
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
