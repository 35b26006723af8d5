"""Reads the remarks and the newest volume from the session's folder."""

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from rtdecode.bundle import Bundle
from rtdecode.dashboard.service_connection import ServiceConnection, ServiceView
from rtdecode.dashboard.slice_images import mask_points, move_points, picture
from rtdecode.dashboard.volumes import NewestVolume
from rtdecode.errors import ConfigError, RtdecodeError
from rtdecode.journal import Remarks, read_remarks
from rtdecode.journal.pack import PACK
from rtdecode.types import Motion, Volume

WAKE_S = 0.1
MAX_INTERVAL_S = 3.0
"""Longest time between two reads. Normally the folder is read after a decision, so that the
decoder has the processor for itself while it decides."""
MIN_INTERVAL_S = 0.6
"""Shortest time between two reads: of faster volumes only the newest is shown."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class FolderView:
    """The contents of the folder at one moment."""

    remarks: Remarks = field(default_factory=lambda: Remarks(None, (), ()))
    index: int = -1
    """Index of the volume in `slices`; -1 for none."""
    slices: bytes = b""
    """Slices of the newest volume, as PNG; empty for none."""
    trouble: str = ""
    """Why there are no slices; empty if there is no problem."""


class SessionFolder:
    """Reads a session's folder in its own thread; `view` may be read from any thread.

    Parameters
    ----------
    session
        The session's folder.
    bundle
        The decoder's bundle, for the outline of its mask.
    connection
        Has the head's position in each volume.
    """

    def __init__(self, session: Path, bundle: Bundle | None, connection: ServiceConnection) -> None:
        self._session = session
        self._space = None if bundle is None else bundle.space
        self._points = None if bundle is None else mask_points(bundle.space)
        matrix = None if bundle is None else bundle.manifest.source_shape[:2]
        self._volumes = NewestVolume(session / PACK, matrix)
        self._connection = connection
        self._stop = threading.Event()
        self.view = FolderView(trouble="no volume yet")
        self._thread = threading.Thread(target=self._run, name="dashboard folder")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            outcomes, read_s = self._connection.view.outcomes, -MAX_INTERVAL_S
            while not self._stop.wait(WAKE_S):
                ago_s = time.monotonic() - read_s
                has_new = self._connection.view.outcomes is not outcomes
                if ago_s < (MIN_INTERVAL_S if has_new else MAX_INTERVAL_S):
                    continue
                outcomes, read_s = self._connection.view.outcomes, time.monotonic()
                try:
                    self._read()
                except FileNotFoundError:
                    self._change(trouble="no volume yet")
                except (OSError, RtdecodeError) as error:
                    reason = error.strerror if isinstance(error, OSError) else error
                    self._change(trouble=f"the session's folder cannot be read: {reason}")
        except Exception as error:  # shown in place of the slices
            log.exception("the dashboard stopped reading the session's folder")
            self._change(trouble=f"stopped: {type(error).__name__}: {error}")

    def _read(self) -> None:
        try:
            self._change(remarks=read_remarks(self._session))
        except ConfigError:
            return  # the session has not started yet
        volume = self._volumes.update()
        if volume is not None:
            self._change(index=volume.index, slices=self._draw(volume), trouble="")

    def _draw(self, volume: Volume) -> bytes:
        if self._space is None or self._points is None:
            return picture(volume)
        motion = motion_of(self._connection.view, volume.index)
        grid_mm = float(np.linalg.norm(self._space.grid_affine[:3, 0]))
        return picture(volume, move_points(self._points, self._space, motion), grid_mm)

    def _change(self, **changes: object) -> None:
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]


def motion_of(view: ServiceView, index: int) -> Motion | None:
    """Return the head's motion in a volume; if it is not known yet, in the volume before it."""
    known = (o.motion for o in reversed(view.outcomes) if o.index <= index and o.motion is not None)
    return next(known, None)
