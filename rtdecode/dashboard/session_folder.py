"""What the dashboard reads from the session's folder: its remarks, and the newest volume."""

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from rtdecode.bundle import Bundle
from rtdecode.dashboard.feed import Feed, ServiceView
from rtdecode.dashboard.slice_images import mask_points, picture, where
from rtdecode.dashboard.volumes import NewestVolume
from rtdecode.errors import ConfigError, RtdecodeError
from rtdecode.journal import Remarks, read_remarks
from rtdecode.journal.pack import PACK
from rtdecode.types import Motion, Outcome, Volume

WAKE_S = 0.1
LOOK_S = 3.0
"""So often at least. Otherwise when a volume was decided: while it is, the decoder wants the
processor for itself."""
REST_S = 0.6
"""So seldom at most: of what comes faster, the newest is shown."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the folder holds, at one moment."""

    remarks: Remarks = field(default_factory=lambda: Remarks(None, (), ()))
    index: int = -1
    """Of the volume that `slices` show; -1 for none."""
    slices: bytes = b""
    """PNG."""
    trouble: str = ""
    """Why there are no slices, in words."""


class Folder:
    """Reads a session's folder in a thread of its own; `seen` may be read from any thread.

    Parameters
    ----------
    session
        The folder.
    bundle
        The decoder, for the outline of its mask.
    feed
        Knows how the head lay in each volume.
    """

    def __init__(self, session: Path, bundle: Bundle | None, feed: Feed) -> None:
        self._session = session
        self._space = None if bundle is None else bundle.space
        self._points = None if bundle is None else mask_points(bundle.space)
        matrix = None if bundle is None else bundle.manifest.source_shape[:2]
        self._volumes = NewestVolume(session / PACK, matrix)
        self._feed = feed
        self._stop = threading.Event()
        self.seen = Seen(trouble="no volume yet")
        self._thread = threading.Thread(target=self._run, name="dashboard folder")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            outcomes, looked_s = self._feed.snapshot.outcomes, -LOOK_S
            while not self._stop.wait(WAKE_S):
                ago_s = time.monotonic() - looked_s
                decided = self._feed.snapshot.outcomes is not outcomes
                if ago_s < (REST_S if decided else LOOK_S):
                    continue
                outcomes, looked_s = self._feed.snapshot.outcomes, time.monotonic()
                try:
                    self._look()
                except FileNotFoundError:
                    self._change(trouble="no volume yet")
                except (OSError, RtdecodeError) as error:
                    reason = error.strerror if isinstance(error, OSError) else error
                    self._change(trouble=f"the session's folder cannot be read: {reason}")
        except Exception as error:
            log.exception("the dashboard's look into the session's folder ended")
            self._change(trouble=f"stopped: {type(error).__name__}: {error}")

    def _look(self) -> None:
        try:
            self._change(remarks=read_remarks(self._session))
        except ConfigError:
            return  # not begun yet
        volume = self._volumes.update()
        if volume is not None:
            self._change(index=volume.index, slices=self._drawn(volume), trouble="")

    def _drawn(self, volume: Volume) -> bytes:
        if self._space is None or self._points is None:
            return picture(volume)
        moved = motion_of(self._feed.snapshot, volume.index)
        grid_mm = float(np.linalg.norm(self._space.grid_affine[:3, 0]))
        return picture(volume, where(self._points, self._space, moved), grid_mm)

    def _change(self, **changes: object) -> None:
        self.seen = replace(self.seen, **changes)  # type: ignore[arg-type]


def motion_of(snapshot: ServiceView, index: int) -> Motion | None:
    """Return how the head lay in a volume, or lately where that is not known yet."""
    known: list[Outcome] = [o for o in snapshot.outcomes if o.motion is not None]
    for outcome in reversed(known):
        if outcome.index <= index:
            return outcome.motion
    return None
