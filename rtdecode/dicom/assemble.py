"""Read the volumes of a finished series from disk."""

import logging
from collections.abc import Iterable
from pathlib import Path

from rtdecode.dicom.assembler import Assembler
from rtdecode.dicom.parse import parse
from rtdecode.dicom.read import MAX_OBJECT_BYTES
from rtdecode.dicom.values import Parsed, Series, Slab
from rtdecode.errors import VolumeError
from rtdecode.types import Stamps, Volume

_log = logging.getLogger(__name__)


def assemble(paths: Iterable[Path | str] | Path | str) -> list[Volume]:
    """Read one finished series.

    Parameters
    ----------
    paths
        The files of the series, gzipped or not, or folders that contain them (searched
        recursively). Their order does not matter, because headers number the volumes.

    Returns
    -------
    list of Volume
        Whole volumes in temporal order. An incomplete volume is left out with a logged warning;
        the others keep their `Volume.index`.

    Raises
    ------
    VolumeError
        There are no MR images, images of several series, or a file in `paths` that cannot be read.
        An unreadable file in a folder is left out with a logged warning.
    """
    runs: dict[tuple[str, tuple[int, int], float], tuple[Series, Assembler, list[Slab]]] = {}
    refused: list[str] = []
    for path, named in _files([paths] if isinstance(paths, (str, Path)) else paths):
        try:
            parsed = _read(path)
        except VolumeError as problem:
            if named:
                raise
            refused.append(str(problem))
            continue
        series = parsed.series
        key = (series.digest, series.matrix, series.echo_time_ms)
        _, assembler, later = runs.setdefault(key, (series, Assembler(series), []))
        for slab in parsed.slabs:
            if slab.temporal is None or slab.slices is None:
                later.append(slab)
            else:
                assembler.hold(slab, Stamps())
    _check(runs.values(), refused)
    _, assembler, later = next(iter(runs.values()))
    # Slabs without a volume number need the scanner's order.
    for slab in sorted(later, key=lambda s: (s.temporal or 0, s.instance)):
        assembler.hold(slab, Stamps())
    assembler.finish()
    return _volumes(assembler)


def _files(paths: Iterable[Path | str]) -> list[tuple[Path, bool]]:
    """Return each file, and whether the caller named it (else it was found in a folder)."""
    files: list[tuple[Path, bool]] = []
    for path in map(Path, paths):
        if path.is_dir():
            files += [(found, False) for found in sorted(path.rglob("*")) if found.is_file()]
        else:
            files.append((path, True))
    return files


def _read(path: Path) -> Parsed:
    try:
        size = path.stat().st_size
        if size > MAX_OBJECT_BYTES:
            raise VolumeError(f"{path} has {size} bytes; an object has at most {MAX_OBJECT_BYTES}")
        content = path.read_bytes()
    except OSError as problem:
        raise VolumeError(f"{path} cannot be read: {problem.strerror or problem}") from problem
    return parse(content, str(path))


def _check(runs: Iterable[tuple[Series, Assembler, list[Slab]]], refused: list[str]) -> None:
    """Require exactly one series, and log the files that were refused."""
    found = sorted((s for s, _, _ in runs), key=lambda s: (s.series_number, s.echo_time_ms))
    if not found:
        reasons = "; ".join(refused[:3]) + ("; ..." if len(refused) > 3 else "")
        raise VolumeError(f"there are no MR images here{': ' if reasons else ''}{reasons}")
    if len(found) > 1:
        listed = ", ".join(
            f"{s.series_number} ({s.matrix[0]}x{s.matrix[1]}, echo {s.echo_time_ms:g} ms)"
            for s in found
        )
        raise VolumeError(
            f"there are images of {len(found)} series here, numbers {listed}: give the files of one"
        )
    for reason in refused:
        _log.warning("left out: %s", reason)


def _volumes(assembler: Assembler) -> list[Volume]:
    held = assembler.indices()
    volumes = []
    for index in range(held[-1] + 1):
        if assembler.is_whole(index):
            volumes.append(assembler.take(index))
        else:
            _log.warning("left out: volume %d, %s", index, assembler.describe(index))
            assembler.drop(index)
    return volumes
