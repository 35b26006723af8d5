"""Sends files from a scanner's export folder to a service on another computer."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Self, TextIO

from platformdirs import user_state_path

from rtdecode.clock import Clock, SystemClock
from rtdecode.errors import ConfigError
from rtdecode.player.sinks import IngestSink, NoAnswerError
from rtdecode.sources import FolderSource
from rtdecode.wire import IngestReply

log = logging.getLogger(__name__)


class Acknowledged:
    """The digests of the files that a service has acknowledged, stored in a file between starts.

    It has no file names, because scanners may name files after people. If a crash loses a line, one
    file is sent twice.

    Parameters
    ----------
    path
        The file; it is created if it does not exist.

    Raises
    ------
    ConfigError
        On entering, if the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[str] = set()
        self._file: TextIO

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="ascii", errors="replace", newline="\n")
            self._file.seek(0)
            content = self._file.read()
            self._file.write("" if content.endswith("\n") or not content else "\n")
        except OSError as error:
            raise ConfigError(
                f"the record of sent files, {self._path}, cannot be written ({error}); choose "
                "another file"
            ) from error
        self._known = set(content.splitlines())
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, digest: str) -> bool:
        return digest in self._known

    def add(self, digest: str) -> None:
        """Write one digest."""
        self._known.add(digest)
        self._file.write(f"{digest}\n")
        self._file.flush()


def default_record(folder: Path, to: str) -> Path:
    """Return the default record of the files of `folder` that the service at `to` has."""
    digest = hashlib.sha256(f"{folder.resolve()} {to}".encode("utf-8", "surrogateescape"))
    return user_state_path("rtdecode") / f"forwarded-{digest.hexdigest()[:12]}.txt"


def forward(
    folder: Path,
    to: str,
    record: Path,
    clock: Clock | None = None,
    stop: Event | None = None,
    on_answer: Callable[[IngestReply], None] = lambda _: None,
    *,
    force_polling: bool = False,
    keys: Path | None = None,
) -> None:
    """Send each complete file of a folder to a service, until the service has acknowledged it.

    It returns when `stop` is set; Ctrl-C raises KeyboardInterrupt. A file that is not acknowledged
    by then is sent at the next start.

    Parameters
    ----------
    folder
        The folder that the scanner exports to, subfolders included.
    to
        The service's ingest socket.
    record
        The record of the files that were acknowledged before and are not sent again.
    clock
        Clock for the waiting times of incomplete files.
    stop
        Ends the function when another thread sets it.
    on_answer
        Called with the service's answer to each file.
    force_polling
        Search for new files even if the system reports them.
    keys
        The sender's keys, if the service requires keys: their folder, or the secret file.

    Raises
    ------
    ConfigError
        The folder does not exist, the endpoint is invalid, the keys cannot be used, or the record
        cannot be written.
    """
    stop = stop or Event()
    with Acknowledged(record) as known:

        def record_answer(reply: IngestReply) -> None:
            if reply.receipt == "refused":
                log.error("the service refuses an object: %s", reply.error)
            else:
                known.add(reply.sha256)
            on_answer(reply)

        with (
            FolderSource(folder, clock or SystemClock(), force_polling=force_polling) as source,
            IngestSink(to, keys, record_answer) as sink,
        ):
            for batch in source.batches(stop):
                for arrival in batch:
                    digest = hashlib.sha256(arrival.content).hexdigest()
                    if not arrival.content:
                        log.warning("a file is empty and is not sent")
                    elif digest not in known:
                        # The digest is the name, because the file name may identify a person.
                        _put(sink, f"forwarded-{digest[:12]}", arrival.content, stop)
                _flush(sink, stop)


def _put(sink: IngestSink, name: str, content: bytes, stop: Event) -> None:
    try:
        sink.put(name, content)
    except NoAnswerError:
        _flush(sink, stop)


def _flush(sink: IngestSink, stop: Event) -> None:
    """Wait until everything is acknowledged, however long the service does not answer."""
    silent = False
    while not stop.is_set():
        try:
            sink.flush()
        except NoAnswerError:
            if not silent:
                log.warning("the service does not answer; sending continues, and no file is lost")
            silent = True
            continue
        if silent:
            log.warning("the service answers again")
        return
