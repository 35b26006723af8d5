"""Checkpoints: everything the next outcome depends on, one `.npz` after every few volumes."""

import contextlib
import logging
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rtdecode.journal.pack import sync_folder
from rtdecode.types import State

KEEP = 2
"""Checkpoints kept of a run: the newest, and one in case it cannot be read."""
_PIPELINE = "pipeline/"
_FACTS = "facts"

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A run between two volumes."""

    run: int
    bundle: str
    """Digest of the bundle whose state this is."""
    sequence: int
    """Of the last outcome it includes."""
    feed_from: int
    """The first record of the pack that the ledger has to see again."""
    ledger: dict[str, Any]
    pipeline: State
    paused: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    """How many objects were what, before `feed_from`."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint so that a crash leaves either all of it or nothing.

    Raises
    ------
    OSError
        The disk is full or failing; older checkpoints are untouched then.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"run-{checkpoint.run:04d}_outcome-{checkpoint.sequence:08d}.npz"
    part = path.with_suffix(".part")
    facts = _Facts(
        checkpoint.run,
        checkpoint.bundle,
        checkpoint.sequence,
        checkpoint.feed_from,
        checkpoint.ledger,
        checkpoint.paused,
        checkpoint.counts,
    )
    arrays = {_PIPELINE + name: array for name, array in checkpoint.pipeline.items()}
    arrays[_FACTS] = np.frombuffer(msgspec.json.encode(facts), dtype=np.uint8)
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(folder)
    for old in _of_run(folder, checkpoint.run)[KEEP:]:
        with contextlib.suppress(OSError):  # a reader on Windows may hold it; next time, then
            old.unlink()
    return path


def newest_checkpoint(folder: Path, run: int) -> Checkpoint | None:
    """Return the newest readable checkpoint of a run, or `None` where there is none yet."""
    for path in _of_run(folder, run):
        try:
            return _read(path)
        except _UNREADABLE as error:
            log.warning(
                "checkpoint %s cannot be read (%s); going on from an older one", path.name, error
            )
    return None


class _Facts(msgspec.Struct):
    run: int
    bundle: str
    sequence: int
    feed_from: int
    ledger: dict[str, Any]
    paused: bool = False
    counts: dict[str, int] = {}


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        # msgspec's errors are ValueErrors.
        facts = msgspec.json.decode(content[_FACTS].tobytes(), type=_Facts)
        names = [name for name in content.files if name.startswith(_PIPELINE)]
        pipeline = {name.removeprefix(_PIPELINE): content[name] for name in names}
    return Checkpoint(
        facts.run,
        facts.bundle,
        facts.sequence,
        facts.feed_from,
        facts.ledger,
        pipeline,
        facts.paused,
        facts.counts,
    )


def _of_run(folder: Path, run: int) -> list[Path]:
    return sorted(folder.glob(f"run-{run:04d}_outcome-*.npz"), reverse=True)
