"""Writes checkpoints in a thread of its own."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

from rtdecode.journal import Checkpoint, write_checkpoint

log = logging.getLogger(__name__)


class CheckpointWriter:
    """Writes checkpoints while the `with` block lasts.

    Parameters
    ----------
    folder
        The folder of the session's checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._writing: Future[Path] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, unless the last one is still being written."""
        if self._writing is not None:
            if not self._writing.done():
                return
            try:
                self._writing.result()
            except OSError as error:
                # The run can be resumed from the log alone; that takes longer.
                log.warning("a checkpoint could not be written: %s", error.strerror)
        self._writing = self._pool.submit(write_checkpoint, self._folder, checkpoint)
