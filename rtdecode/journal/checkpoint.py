"""Checkpoints: everything the next outcome depends on, in an `.npz` file."""

import contextlib
import logging
import os
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rtdecode.journal.pack import sync_folder
from rtdecode.types import State

MAX_FILES = 2
"""Checkpoints of a run on the disk: the newest, and the one before as a reserve."""
_PIPELINE = "pipeline/"
_FACTS = "facts"

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The state of a run between two volumes."""

    run: int
    bundle: str
    """Digest of the bundle of this state."""
    sequence: int
    """Sequence number of the last outcome that it includes."""
    feed_from: int
    """The first record of the pack that a restart must apply again."""
    ledger: dict[str, Any]
    pipeline: State
    paused: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    """The tally of the objects before `feed_from`."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint; a crash leaves the whole file or none.

    Raises
    ------
    OSError
        The disk is full or fails; older checkpoints are unchanged then.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"run-{checkpoint.run:04d}_outcome-{checkpoint.sequence:08d}.npz"
    part = path.with_suffix(".part")
    names = [f.name for f in fields(Checkpoint) if f.name != "pipeline"]
    facts = {name: getattr(checkpoint, name) for name in names}
    arrays = {_PIPELINE + name: array for name, array in checkpoint.pipeline.items()}
    arrays[_FACTS] = np.frombuffer(msgspec.json.encode(facts), dtype=np.uint8)
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(folder)
    for old in _of_run(folder, checkpoint.run)[MAX_FILES:]:
        with contextlib.suppress(OSError):  # a reader on Windows may have it open
            old.unlink()
    return path


def newest_checkpoint(folder: Path, run: int) -> Checkpoint | None:
    """Return the newest readable checkpoint of a run, or `None` where there is none yet."""
    for path in _of_run(folder, run):
        try:
            return _read(path)
        except _UNREADABLE as error:
            log.warning("checkpoint %s cannot be read (%s); an older one is used", path.name, error)
    return None


def _read(path: Path) -> Checkpoint:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        # msgspec's errors are ValueErrors.
        facts = msgspec.json.decode(content[_FACTS].tobytes(), type=dict[str, Any])
        names = [name for name in content.files if name.startswith(_PIPELINE)]
        pipeline = {name.removeprefix(_PIPELINE): content[name] for name in names}
    return Checkpoint(**facts, pipeline=pipeline)


def _of_run(folder: Path, run: int) -> list[Path]:
    return sorted(folder.glob(f"run-{run:04d}_outcome-*.npz"), reverse=True)
