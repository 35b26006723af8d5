"""When each file of a recorded series leaves the scanner."""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from rtdecode import dicom
from rtdecode.errors import ConfigError, VolumeError
from rtdecode.types import Stamps

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One file and its moment."""

    path: Path
    name: str
    """Relative to the folder it was found in."""
    due_s: float
    """After the start of the first volume, at the series' own pace."""
    volume: int
    """Which volume, from 0, it (first) gives to."""


@dataclass(frozen=True, slots=True)
class _Read:
    path: Path
    name: str
    parsed: dicom.Parsed


def schedule(paths: Iterable[Path | str]) -> list[Scheduled]:
    """Return the files of a recording in the scanner's order: volumes, and slices within them.

    The last slice of a volume leaves when the volume is complete, one repetition time after it
    began; the others are spread evenly before it. Several series follow one another by their
    numbers. Copies of an image are played like any other. What is no MR image is left out with a
    logged warning.

    Parameters
    ----------
    paths
        Files, or folders that are searched recursively.

    Raises
    ------
    ConfigError
        There are no MR images.
    """
    read: list[_Read] = []
    for path, name in _files(paths):
        try:
            read.append(_Read(path, name, _without_pixels(dicom.parse(path.read_bytes(), name))))
        except (OSError, VolumeError) as error:
            log.warning("not played: %s", error)
    if not read:
        raise ConfigError(f"there are no MR images in {', '.join(map(str, paths))}")
    read.sort(key=lambda r: (r.parsed.series.series_number, r.parsed.series.digest))
    scheduled: list[Scheduled] = []
    start_s = 0.0
    for _, group in groupby(read, key=lambda r: r.parsed.series.digest):
        scheduled += _of_series(list(group), start_s)
        start_s = scheduled[-1].due_s
    return scheduled


def _without_pixels(parsed: dicom.Parsed) -> dicom.Parsed:
    """Keep a long recording's order in memory, not its voxels."""
    blank = np.float32(0)
    slabs = [replace(s, data=np.broadcast_to(blank, s.data.shape)) for s in parsed.slabs]
    return replace(parsed, slabs=tuple(slabs))


def _of_series(read: Sequence[_Read], start_s: float) -> list[Scheduled]:
    series = read[0].parsed.series
    # The same code that numbers volumes live: where headers give no time, the series as a whole.
    assembler = dicom.Assembler(series)
    by_instance = sorted(read, key=lambda r: r.parsed.slabs[0].instance)
    for one in by_instance:
        for slab in one.parsed.slabs:
            assembler.hold(slab, Stamps())

    def volume(one: _Read) -> int:
        indices = [assembler.index_of(slab) for slab in one.parsed.slabs]
        return max((i for i in indices if i is not None), default=0)

    ordered = sorted(by_instance, key=volume)
    repetition_s = series.repetition_time_s
    step_s = 0.0 if math.isnan(repetition_s) else repetition_s
    scheduled: list[Scheduled] = []
    for index, group in groupby(ordered, key=volume):
        files = list(group)
        scheduled += [
            Scheduled(one.path, one.name, start_s + (index + (n + 1) / len(files)) * step_s, index)
            for n, one in enumerate(files)
        ]
    return scheduled


def _files(paths: Iterable[Path | str]) -> list[tuple[Path, str]]:
    files: list[tuple[Path, str]] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.is_file())
            files += [(p, p.relative_to(path).as_posix()) for p in found]
        elif path.is_file():
            files.append((path, path.name))
        else:
            raise ConfigError(f"{path} is not there; give a recorded series: files or folders")
    return files
