"""A folder that the scanner exports into, subfolders included.

On a local disk the system tells of new files; a network share, where it does not tell of what other
computers write, is looked at again and again. A file is handed over when it is whole, which covers
renaming into place and slow writing alike. One that is not is tried again as it grows, and a stated
time after it last changed it is handed over as it is, so that the loss is reported; should it be
completed later, it is handed over again. A folder that goes away, as that of an unmounted share
does, is waited for.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Self

import watchfiles

from rtdecode import dicom
from rtdecode.clock import Clock
from rtdecode.errors import VolumeError
from rtdecode.sources.base import Arrival
from rtdecode.sources.filesystem import check_folder, filesystem_of

PATIENCE_S = 5.0
POLL_MS = 50
"""How soon a file is tried again, and a request to stop is noticed, at the latest."""
RESCAN_S = 2.0
"""Between looks at the whole folder, for what events did not tell."""
FIRST_RETRY_S, LAST_RETRY_S = 0.02, 0.5
MAX_FILE_BYTES = 1 << 30
MAX_BATCH, MAX_BATCH_BYTES = 32, 1 << 25
UNFINISHED = (".part", ".partial", ".tmp")
"""Endings of names under which files are written before they are renamed."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    """A file that was seen and not handed over yet."""

    size: int
    modified_ns: int
    changed_ns: int
    """When it was last seen to change, in monotonic time."""
    next_try_ns: int
    delay_s: float = FIRST_RETRY_S


class FolderSource:
    """Watches a folder; files that are there already come first, in order of modification.

    Names that begin with a dot or end in `.part`, `.partial` or `.tmp` are left alone.

    Parameters
    ----------
    path
        The folder.
    clock
        For the stamps and for the waiting.
    force_polling
        Look for files even on a filesystem that is known to be local.
    patience_s
        How long an unreadable file is left to grow, since it last did.
    complete
        Raises `VolumeError` for a file that is not whole; called again as the file grows, so cheap.

    Raises
    ------
    ConfigError
        On entering: there is no such folder, or it cannot be listed.
    """

    endpoint = None

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        force_polling: bool = False,
        patience_s: float = PATIENCE_S,
        complete: Callable[[bytes, str], object] = dicom.require_whole,
    ) -> None:
        # The watcher reports absolute paths whatever it was given.
        self._path = path.resolve()
        self._clock = clock
        self._polling = force_polling
        self._patience_ns = int(patience_s * 1e9)
        self._complete = complete
        self._waiting: dict[str, _Waiting] = {}
        self._handed: dict[str, tuple[int, int]] = {}
        self._behind = True

    @property
    def behind(self) -> bool:
        """Whether files that can be read are still to be handed over."""
        return self._behind

    def __enter__(self) -> Self:
        check_folder(self._path)
        self._choose()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open: `batches` closes its watcher."""

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield files as they become whole, until `stop` is set."""
        watched = _which(self._path)
        while not stop.is_set():
            if watched is None:
                watched = self._wait(stop)
                continue
            # It may go at any moment, which a watcher says by stopping.
            with suppress(FileNotFoundError):
                yield from self._watch(watched, stop)
            before, watched = watched, _which(self._path)
            if watched not in {None, before}:
                log.warning(
                    "another folder is where the source folder was, such as the empty one below a "
                    "share that was unmounted; it is watched now"
                )

    def _wait(self, stop: Event) -> tuple[int, int] | None:
        """Wait until there is a folder again."""
        log.warning("the source folder is gone and waited for: see to the share, or the export")
        while not stop.wait(POLL_MS / 1e3):
            found = _which(self._path)
            if found is not None:
                log.warning("the source folder is there again")
                return found
        return None

    def _watch(self, watched: tuple[int, int], stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield files as they become whole, as long as the folder is the one that is watched."""
        rescan_ns = 0
        # The watcher is running when it first yields, so no file falls between it and the listing.
        for changes in watchfiles.watch(
            self._path,
            watch_filter=None,
            debounce=50,
            step=10,
            rust_timeout=POLL_MS,
            yield_on_timeout=True,
            stop_event=stop,
            force_polling=self._polling,
            ignore_permission_denied=True,
        ):
            now_ns = self._clock.monotonic_ns()
            for _, name in changes:
                self._note(name, now_ns)
            if now_ns >= rescan_ns:
                # Of a folder that took its place the watcher tells nothing.
                if _which(self._path) != watched:
                    return
                self._list(str(self._path), now_ns)
                rescan_ns = now_ns + int(RESCAN_S * 1e9)
            yield from self._whole(stop)
            self._behind = False

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Do nothing: a file stays where it is."""

    def _choose(self) -> None:
        filesystem = filesystem_of(self._path)
        if self._polling:
            log.info("the source folder is polled, as was asked")
        elif filesystem.local:
            log.info("the source folder is watched by events (%s)", filesystem.kind)
        else:
            log.info(
                "the source folder is polled: events do not tell of what others write to a %s",
                filesystem.kind,
            )
        self._polling = self._polling or not filesystem.local

    def _note(self, name: str, now_ns: int) -> None:
        """Note what the system told of: a file, or a folder with all that is in it."""
        if not all(map(_named, Path(name).relative_to(self._path).parts)):
            return
        if Path(name).is_dir():
            self._list(name, now_ns)
        else:
            self._note_file(name, now_ns)

    def _list(self, folder: str, now_ns: int) -> None:
        try:
            with os.scandir(folder) as found:
                entries = [(entry.path, entry.is_dir()) for entry in found if _named(entry.name)]
        except OSError:
            return  # renamed or deleted meanwhile
        for path, is_folder in entries:
            if is_folder:
                self._list(path, now_ns)
            else:
                self._note_file(path, now_ns)

    def _note_file(self, name: str, now_ns: int) -> None:
        try:
            status = os.stat(name)  # noqa: PTH116 - thousands of times every other second
        except OSError:
            self._waiting.pop(name, None)  # renamed or deleted meanwhile
            return
        size, modified_ns = status.st_size, status.st_mtime_ns
        waiting = self._waiting.get(name)
        if waiting is None:
            if self._handed.get(name) == (size, modified_ns):
                return
            self._waiting[name] = _Waiting(size, modified_ns, now_ns, now_ns)
        elif (waiting.size, waiting.modified_ns) != (size, modified_ns):
            self._waiting[name] = _Waiting(size, modified_ns, now_ns, now_ns)

    def _whole(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        now_ns = self._clock.monotonic_ns()
        due = [name for name, waiting in self._waiting.items() if waiting.next_try_ns <= now_ns]
        due.sort(key=lambda name: (self._waiting[name].modified_ns, _natural(name)))
        batch: list[Arrival] = []
        for name in due:
            if stop.is_set():
                return
            arrival = self._try(name)
            if arrival is not None:
                batch.append(arrival)
            if len(batch) >= MAX_BATCH or sum(len(a.content) for a in batch) > MAX_BATCH_BYTES:
                self._behind = True
                yield batch
                batch = []
        if batch:
            yield batch

    def _try(self, name: str) -> Arrival | None:
        """Return the file's content if it is whole or waited for long enough."""
        path = Path(name)
        now_ns = self._clock.monotonic_ns()
        self._note_file(name, now_ns)  # it may have grown without an event
        waiting = self._waiting.get(name)
        if waiting is None:
            return None
        patient = now_ns - waiting.changed_ns < self._patience_ns
        shown = path.relative_to(self._path).as_posix()
        try:
            content = _read(path, waiting.size)
            received_ns = self._clock.monotonic_ns()
        except OSError as error:
            if patient:
                self._later(waiting, now_ns)
            else:
                # Not by its name: scanners name files after participants.
                log.warning(
                    "a file of %d bytes cannot be read and is left out: %s",
                    waiting.size,
                    error.strerror or "it is larger than any scan",
                )
                self._hand(name, waiting)
            return None
        try:
            self._complete(content, shown)
        except VolumeError:
            if patient:
                self._later(waiting, now_ns)
                return None
        self._hand(name, waiting)
        return Arrival(shown, content, received_ns)

    def _hand(self, name: str, waiting: _Waiting) -> None:
        self._handed[name] = (waiting.size, waiting.modified_ns)
        del self._waiting[name]

    @staticmethod
    def _later(waiting: _Waiting, now_ns: int) -> None:
        waiting.next_try_ns = now_ns + int(waiting.delay_s * 1e9)
        waiting.delay_s = min(2 * waiting.delay_s, LAST_RETRY_S)


def _which(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another of its name; `None` where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _read(path: Path, size: int) -> bytes:
    if size > MAX_FILE_BYTES:
        raise OSError(f"{size} bytes is more than {MAX_FILE_BYTES}")
    return path.read_bytes()


def _named(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith(UNFINISHED)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that puts `slice_10` after `slice_9`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
