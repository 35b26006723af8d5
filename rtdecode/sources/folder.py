"""A folder that the scanner exports into, subfolders included.

On a local disk the system reports new files. On a network share it does not report the files of
other computers, so the folder is listed repeatedly. A complete file is passed on, whether it was
renamed or written slowly. An incomplete file is tried again when it grows. If it does not change
for a given time, it is passed on as it is, so that the loss is reported; if it is completed later,
it is passed on again. The source waits for a folder that disappears, as with an unmounted share.
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
"""Longest time until a file is tried again or a request to stop is noticed."""
RESCAN_S = 2.0
"""Interval between listings of the whole folder, for files without an event."""
FIRST_RETRY_S, LAST_RETRY_S = 0.02, 0.5
MAX_FILE_BYTES = 1 << 30
MAX_BATCH, MAX_BATCH_BYTES = 32, 1 << 25
UNFINISHED = (".part", ".partial", ".tmp")
"""Endings of file names that are used until the file is complete."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    """A file that was not passed on yet."""

    size: int
    modified_ns: int
    changed_ns: int
    """Time of the last observed change, monotonic nanoseconds."""
    next_try_ns: int
    delay_s: float = FIRST_RETRY_S


class FolderSource:
    """Watches a folder; existing files come first, in order of modification.

    Names that begin with a dot or end in `.part`, `.partial` or `.tmp` are ignored.

    Parameters
    ----------
    path
        The folder.
    clock
        For stamps and waiting times.
    force_polling
        List the folder repeatedly also on a local filesystem.
    patience_s
        Time that an incomplete file has to grow after its last change.
    complete
        Raises `VolumeError` for an incomplete file. It must be fast: it is called again whenever
        the file has grown.

    Raises
    ------
    ConfigError
        On opening: the folder does not exist, or cannot be listed.
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
        # The watcher reports absolute paths, also for a relative one.
        self._path = path.resolve()
        self._clock = clock
        self._polling = force_polling
        self._patience_ns = int(patience_s * 1e9)
        self._complete = complete
        self._waiting: dict[str, _Waiting] = {}
        self._passed_on: dict[str, tuple[int, int]] = {}
        self.behind = True
        """Whether complete files still wait to be passed on."""

    def __enter__(self) -> Self:
        check_folder(self._path)
        self._choose_method()
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: `batches` closes its watcher."""

    def batches(self, stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield files when they are complete, until `stop` is set."""
        watched = _identity(self._path)
        while not stop.is_set():
            if watched is None:
                watched = self._wait(stop)
                continue
            # The folder may disappear at any time; the watcher then stops.
            with suppress(FileNotFoundError):
                yield from self._watch(watched, stop)
            before, watched = watched, _identity(self._path)
            if watched not in {None, before}:
                log.warning(
                    "another folder has taken the place of the source folder, such as the empty "
                    "one below an unmounted share; it is watched now"
                )

    def _wait(self, stop: Event) -> tuple[int, int] | None:
        """Wait until the folder exists again."""
        log.warning("the source folder disappeared; waiting. Check the network share or the export")
        while not stop.wait(POLL_MS / 1e3):
            folder = _identity(self._path)
            if folder is not None:
                log.warning("the source folder is there again")
                return folder
        return None

    def _watch(self, watched: tuple[int, int], stop: Event) -> Iterator[Sequence[Arrival]]:
        """Yield files when they are complete, as long as the folder is the watched one."""
        rescan_ns = 0
        # The watcher runs when it first yields, so the listing after it misses no file.
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
                # The watcher reports nothing about a folder that took its place.
                if _identity(self._path) != watched:
                    return
                self._list(str(self._path), now_ns)
                rescan_ns = now_ns + int(RESCAN_S * 1e9)
            yield from self._complete_files(stop)
            self.behind = False

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Do nothing: the file stays in the folder."""

    def _choose_method(self) -> None:
        filesystem = filesystem_of(self._path)
        kind = filesystem.kind
        if self._polling:
            log.info("the source folder is polled, as requested")
        elif filesystem.local:
            log.info("the source folder is watched by events (%s)", kind)
        else:
            log.info("the source folder is polled: a %s reports no files of other computers", kind)
            self._polling = True

    def _note(self, name: str, now_ns: int) -> None:
        """Add a file, or a folder with its content, that the system reported."""
        if not all(map(_is_used, Path(name).relative_to(self._path).parts)):
            return
        if Path(name).is_dir():
            self._list(name, now_ns)
        else:
            self._note_file(name, now_ns)

    def _list(self, folder: str, now_ns: int) -> None:
        try:
            with os.scandir(folder) as listing:
                entries = [
                    (entry.path, entry.is_dir()) for entry in listing if _is_used(entry.name)
                ]
        except OSError:
            return  # renamed or deleted in the meantime
        for path, is_folder in entries:
            if is_folder:
                self._list(path, now_ns)
            else:
                self._note_file(path, now_ns)

    def _note_file(self, name: str, now_ns: int) -> None:
        try:
            status = os.stat(name)  # noqa: PTH116 - it is faster, and called often
        except OSError:
            self._waiting.pop(name, None)  # renamed or deleted in the meantime
            return
        size, modified_ns = status.st_size, status.st_mtime_ns
        waiting = self._waiting.get(name)
        known = (
            self._passed_on.get(name) if waiting is None else (waiting.size, waiting.modified_ns)
        )
        if known != (size, modified_ns):
            self._waiting[name] = _Waiting(size, modified_ns, now_ns, now_ns)

    def _complete_files(self, stop: Event) -> Iterator[Sequence[Arrival]]:
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
                self.behind = True
                yield batch
                batch = []
        if batch:
            yield batch

    def _try(self, name: str) -> Arrival | None:
        """Return the file if it is complete, or incomplete for too long."""
        path = Path(name)
        now_ns = self._clock.monotonic_ns()
        self._note_file(name, now_ns)  # it may have grown without an event
        waiting = self._waiting.get(name)
        if waiting is None:
            return None
        patient = now_ns - waiting.changed_ns < self._patience_ns
        name_in_source = path.relative_to(self._path).as_posix()
        try:
            content = _read(path, waiting.size)
            received_ns = self._clock.monotonic_ns()
        except OSError as error:
            if patient:
                self._retry_later(waiting, now_ns)
            else:
                # The message does not name the file: scanners name files after participants.
                log.warning(
                    "a file of %d bytes cannot be read and is left out: %s",
                    waiting.size,
                    error.strerror or "it is larger than any scan",
                )
                self._pass_on(name, waiting)
            return None
        try:
            self._complete(content, name_in_source)
        except VolumeError:
            if patient:
                self._retry_later(waiting, now_ns)
                return None
        self._pass_on(name, waiting)
        return Arrival(name_in_source, content, received_ns)

    def _pass_on(self, name: str, waiting: _Waiting) -> None:
        self._passed_on[name] = (waiting.size, waiting.modified_ns)
        del self._waiting[name]

    @staticmethod
    def _retry_later(waiting: _Waiting, now_ns: int) -> None:
        waiting.next_try_ns = now_ns + int(waiting.delay_s * 1e9)
        waiting.delay_s = min(2 * waiting.delay_s, LAST_RETRY_S)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return device and inode, which identify a folder; `None` if it does not exist."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _read(path: Path, size: int) -> bytes:
    if size > MAX_FILE_BYTES:
        raise OSError(f"{size} bytes is more than {MAX_FILE_BYTES}")
    return path.read_bytes()


def _is_used(name: str) -> bool:
    return not name.startswith(".") and not name.lower().endswith(UNFINISHED)


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that puts `slice_10` after `slice_9`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
