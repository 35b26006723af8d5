"""Compute when each file of a recorded series leaves the scanner."""

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
class ScheduledFile:
    """One file and its due time."""

    path: Path
    name: str
    """Path relative to the folder where it was found."""
    due_s: float
    """Due time after the start of the first volume, at the series' own speed."""
    volume: int
    """Index of the file's volume, from 0; of the last one if it has several."""


@dataclass(frozen=True, slots=True)
class _ParsedFile:
    path: Path
    name: str
    parsed: dicom.Parsed


def schedule(paths: Iterable[Path | str]) -> list[ScheduledFile]:
    """Return the files of a recording in the scanner's order: by volume, then by slice.

    The last slice of a volume is due one repetition time after the volume's start; the others are
    spread evenly before it. Several series are played in the order of their numbers. Copies of an
    image are played too. Files that are not MR images are left out with a logged warning.

    Parameters
    ----------
    paths
        Files, or folders that are searched recursively.

    Raises
    ------
    ConfigError
        There are no MR images.
    """
    read: list[_ParsedFile] = []
    for path, name in _files(paths):
        try:
            read.append(
                _ParsedFile(path, name, _without_pixels(dicom.parse(path.read_bytes(), name)))
            )
        except (OSError, VolumeError) as error:
            log.warning("not played: %s", error)
    if not read:
        raise ConfigError(f"there are no MR images in {', '.join(map(str, paths))}")
    read.sort(key=lambda r: (r.parsed.series.series_number, r.parsed.series.digest))
    scheduled: list[ScheduledFile] = []
    start_s = 0.0
    for _, group in groupby(read, key=lambda r: r.parsed.series.digest):
        scheduled += _schedule_series(list(group), start_s)
        start_s = scheduled[-1].due_s
    return scheduled


def _without_pixels(parsed: dicom.Parsed) -> dicom.Parsed:
    """Remove the voxels, because a long recording does not fit into memory."""
    blank = np.float32(0)
    slabs = [replace(s, data=np.broadcast_to(blank, s.data.shape)) for s in parsed.slabs]
    return replace(parsed, slabs=tuple(slabs))


def _schedule_series(read: Sequence[_ParsedFile], start_s: float) -> list[ScheduledFile]:
    series = read[0].parsed.series
    # The assembler numbers volumes as in a live run, also if headers give no volume.
    assembler = dicom.Assembler(series)
    by_instance = sorted(read, key=lambda r: r.parsed.slabs[0].instance)
    for one in by_instance:
        for slab in one.parsed.slabs:
            assembler.hold(slab, Stamps())

    def volume(one: _ParsedFile) -> int:
        indices = [assembler.index_of(slab) for slab in one.parsed.slabs]
        return max((i for i in indices if i is not None), default=0)

    ordered = sorted(by_instance, key=volume)
    repetition_s = series.repetition_time_s
    step_s = 0.0 if math.isnan(repetition_s) else repetition_s
    scheduled: list[ScheduledFile] = []
    for index, group in groupby(ordered, key=volume):
        files = list(group)
        scheduled += [
            ScheduledFile(
                one.path, one.name, start_s + (index + (n + 1) / len(files)) * step_s, index
            )
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
            raise ConfigError(f"{path} does not exist; give a recorded series: files or folders")
    return files
