"""The dashboard's connection to the service: one thread that owns the sockets."""

import logging
import threading
import time
from dataclasses import dataclass, replace
from queue import Empty, Queue
from typing import Literal, Self

from rtdecode.client.follower import Follower, ServiceAddress
from rtdecode.errors import RtdecodeError
from rtdecode.types import Outcome
from rtdecode.wire import Numbered, Status, WireError

POLL_S = 0.05
STATUS_S = 0.4
"""Interval between two requests for the status, seconds."""
SILENT_S = 1.0
"""After this time without a message, look for new endpoints of the service, seconds."""
MAX_NOTES = 200
"""The newest notes are kept."""

log = logging.getLogger(__name__)

Command = Literal["start", "pause", "resume", "end", "mark"]


@dataclass(frozen=True, slots=True)
class Note:
    """A text of the service: the detail of its status, or its answer to a command."""

    number: int
    """Position among all notes of the run, from 1."""
    volume: int
    """The newest volume at that time; -1 before the first."""
    kind: Literal["status", "done", "refused"]
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class ServiceView:
    """What the dashboard knows of the service at one moment."""

    session: str = ""
    run: int = 0
    status: Status | None = None
    outcomes: tuple[Outcome, ...] = ()
    """The outcomes of the run until now."""
    sequence: int = 0
    """Sequence number of the newest outcome."""
    arrived_ns: int = 0
    """Arrival of the newest outcome, on this computer's monotonic clock."""
    heard_ns: int = 0
    """Arrival of the newest message; before the first one, when the dashboard was started."""
    notes: tuple[Note, ...] = ()
    trouble: str = ""
    """Why there is no connection; empty if there is one."""
    dead: str = ""
    """The error that ended the thread; nothing changes after it."""


class ServiceConnection:
    """Follows a service until it is closed; `view` may be read from any thread.

    Parameters
    ----------
    address
        Where the service is. The service may start later, stop, and move to other endpoints.
    """

    def __init__(self, address: ServiceAddress) -> None:
        self._address = address
        self._commands: Queue[tuple[Command, str]] = Queue()
        self._stop = threading.Event()
        self.view = ServiceView(heard_ns=time.monotonic_ns())
        self._thread = threading.Thread(target=self._run, name="dashboard connection")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def command(self, command: Command, text: str = "") -> None:
        """Send a command; the service's answer becomes a note."""
        self._commands.put((command, text))

    def _run(self) -> None:
        try:
            with Follower(self._address) as follower:
                while not self._stop.is_set():
                    try:
                        self._follow(follower)
                    except RtdecodeError as error:
                        self._change(trouble=str(error))
                        self._drop_commands(str(error))
                        self._stop.wait(SILENT_S)
        except Exception as error:  # shown on the page, which otherwise would wait for ever
            log.exception("the dashboard's connection ended")
            self._change(dead=f"{type(error).__name__}: {error}")

    def _follow(self, follower: Follower) -> None:
        """Follow one service until it has moved or does not answer a command.

        A restarted service must not carry out a command that the operator saw fail. Therefore the
        next connection has new sockets.
        """
        follower.connect()
        requested_s = 0.0
        published = follower.outcomes.status
        while not self._stop.is_set():
            received = follower.read(POLL_S)
            if received:
                self._add(received)
            newest = follower.outcomes.status
            if newest is not None and newest is not published:
                # The last status of a service is only published: it stops before it is asked.
                published = newest
                self._update_status(newest)
            if not self._send_commands(follower):
                return
            if time.monotonic() - requested_s >= STATUS_S:
                requested_s = time.monotonic()
                self._request_status(follower)
            silent_s = (time.monotonic_ns() - self.view.heard_ns) / 1e9
            if silent_s > SILENT_S and follower.moved():
                return

    def _add(self, received: list[Numbered]) -> None:
        before = self.view
        session, run, outcomes, notes = before.session, before.run, [*before.outcomes], before.notes
        for numbered in received:
            if (numbered.session, numbered.run) != (session, run):
                session, run = numbered.session, numbered.run
                outcomes.clear()
                notes = ()
            outcomes.append(numbered.outcome)
        now_ns = time.monotonic_ns()
        self._change(
            session=session,
            run=run,
            outcomes=tuple(outcomes),
            sequence=received[-1].sequence,
            notes=notes,
            arrived_ns=now_ns,
            heard_ns=now_ns,
            trouble="",
        )

    def _request_status(self, follower: Follower) -> None:
        try:
            self._update_status(follower.control.status())
        except WireError:
            raise
        except RtdecodeError as error:
            self._change(trouble=str(error))

    def _update_status(self, status: Status) -> None:
        before = self.view
        self._change(status=status, heard_ns=time.monotonic_ns(), trouble="")
        if (status.session, status.run) != (before.session, before.run):
            self._change(session=status.session, run=status.run, outcomes=(), notes=(), sequence=0)
        if status.detail and (before.status is None or before.status.detail != status.detail):
            self._note("status", status.detail)

    def _send_commands(self, follower: Follower) -> bool:
        """Send the waiting commands; return `False` if the service does not answer."""
        while True:
            try:
                command, text = self._commands.get_nowait()
            except Empty:
                return True
            try:
                request = getattr(follower.control, command)
                answer = request(text) if command == "mark" else request()
                self._note("done", f"{command}: {answer}")
            except WireError as error:
                self._note("refused", f"{command}: {error}")
            except RtdecodeError as error:
                self._note("refused", f"{command}: {error}")
                return False

    def _drop_commands(self, reason: str) -> None:
        while not self._commands.empty():
            command, _ = self._commands.get_nowait()
            self._note("refused", f"{command}: {reason}")

    def _note(self, kind: Literal["status", "done", "refused"], text: str) -> None:
        view = self.view
        volume = view.outcomes[-1].index if view.outcomes else -1
        number = view.notes[-1].number + 1 if view.notes else 1
        note = Note(number, volume, kind, text)
        self._change(notes=(*view.notes, note)[-MAX_NOTES:])

    def _change(self, **changes: object) -> None:
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]
