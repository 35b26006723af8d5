"""What the dashboard knows of a service, kept up to date by one thread that owns the sockets."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from typing import Literal, Self

from rtdecode.client import Control, Outcomes, session_endpoints
from rtdecode.errors import RtdecodeError
from rtdecode.types import Outcome
from rtdecode.wire import Numbered, Status, WireError

POLL_S = 0.05
STATUS_S = 0.4
ANSWER_S = 1.0
"""How long an answer is waited for; a service that decodes answers between two volumes."""
SILENT_S = 1.0
"""After so much silence it is looked up whether the service moved to other ports."""
REMEMBERED = 200

log = logging.getLogger(__name__)

Command = Literal["start", "pause", "resume", "end", "mark"]


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where the service is: by its session's folder, which names its endpoints, or by these."""

    session: Path | None
    outcomes: str
    control: str
    keys: Path | None = None

    def endpoints(self) -> tuple[str, str]:
        """Return where it publishes and where it answers.

        Raises
        ------
        ConfigError
            The session's folder does not say.
        """
        if self.session is None:
            return self.outcomes, self.control
        found = session_endpoints(self.session)
        return found["outcomes"], found["control"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was said: by the service in its status, or in answer to a command."""

    number: int
    """Counts all notes."""
    volume: int
    """The newest volume by then; -1 before the first."""
    kind: Literal["status", "done", "refused"]
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class ServiceView:
    """All that is known at one moment."""

    session: str = ""
    run: int = 0
    status: Status | None = None
    outcomes: tuple[Outcome, ...] = ()
    """The run's so far."""
    sequence: int = 0
    """Of the newest outcome."""
    arrived_ns: int = 0
    """When the newest outcome came, on this computer's monotonic clock."""
    heard_ns: int = 0
    """When the service was last heard of; at first, when it was first looked for."""
    notes: tuple[Note, ...] = ()
    trouble: str = ""
    """Why there is no connection, in words."""
    dead: str = ""
    """What ended the thread itself; nothing will change any more."""


class Feed:
    """Follows a service until it is closed; `snapshot` may be read from any thread.

    Parameters
    ----------
    address
        Where the service is. It may come, go and move to other ports.
    """

    def __init__(self, address: ServiceAddress) -> None:
        self._address = address
        self._commands: Queue[tuple[Command, str]] = Queue()
        self._stop = threading.Event()
        self.snapshot = ServiceView(heard_ns=time.monotonic_ns())
        self._thread = threading.Thread(target=self._run, name="dashboard feed")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def command(self, command: Command, text: str = "") -> None:
        """Have a command sent; what the service answers becomes a note."""
        self._commands.put((command, text))

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._follow(*self._address.endpoints())
                except RtdecodeError as error:
                    self._change(trouble=str(error))
                    self._drop_commands(str(error))
                    self._stop.wait(SILENT_S)
        except Exception as error:
            log.exception("the dashboard's connection ended")
            self._change(dead=f"{type(error).__name__}: {error}")

    def _follow(self, outcomes: str, control: str) -> None:
        """Follow one service, until it has moved, or leaves a command without an answer.

        What was sent and not answered goes with its socket: a service that comes back must not
        carry out what the operator was told had failed.
        """
        with ExitStack() as stack:
            source = stack.enter_context(Outcomes(outcomes, control, keys=self._address.keys))
            asked = stack.enter_context(Control(control, ANSWER_S, self._address.keys))
            asked_s = 0.0
            published = source.status
            while not self._stop.is_set():
                self._take(source)
                if source.status is not None and source.status is not published:
                    # A service's last word is not an answer: it is gone when one would ask.
                    published = source.status
                    self._learn(published)
                if not self._carry_out(asked):
                    return
                if time.monotonic() - asked_s >= STATUS_S:
                    asked_s = time.monotonic()
                    self._ask(asked)
                silent_s = (time.monotonic_ns() - self.snapshot.heard_ns) / 1e9
                if silent_s > SILENT_S and self._address.endpoints() != (outcomes, control):
                    return

    def _take(self, source: Outcomes) -> None:
        came: list[Numbered] = []
        numbered = source.poll(POLL_S)
        while numbered is not None:
            came.append(numbered)
            numbered = source.poll(0.0)
        if came:
            self._add(came)

    def _add(self, came: list[Numbered]) -> None:
        before = self.snapshot
        session, run, sequence = before.session, before.run, before.sequence
        outcomes = list(before.outcomes)
        notes = before.notes
        for numbered in came:
            if (numbered.session, numbered.run) != (session, run):
                session, run = numbered.session, numbered.run
                outcomes.clear()
                notes = ()
            elif numbered.sequence <= sequence:
                continue  # fetched once more after a reconnection
            outcomes.append(numbered.outcome)
            sequence = numbered.sequence
        now_ns = time.monotonic_ns()
        self._change(
            session=session,
            run=run,
            outcomes=tuple(outcomes),
            sequence=sequence,
            notes=notes,
            arrived_ns=now_ns if sequence != before.sequence else before.arrived_ns,
            heard_ns=now_ns,
            trouble="",
        )

    def _ask(self, control: Control) -> None:
        try:
            status = control.status()
        except WireError:
            raise
        except RtdecodeError as error:
            self._change(trouble=str(error))
            return
        self._learn(status)

    def _learn(self, status: Status) -> None:
        before = self.snapshot
        self._change(status=status, heard_ns=time.monotonic_ns(), trouble="")
        if (status.session, status.run) != (before.session, before.run):
            self._change(session=status.session, run=status.run, outcomes=(), notes=(), sequence=0)
        if status.detail and (before.status is None or before.status.detail != status.detail):
            self._note("status", status.detail)

    def _carry_out(self, control: Control) -> bool:
        """Send the commands that wait; false where the service does not answer."""
        orders: dict[Command, Callable[[str], str]] = {
            "start": lambda _: control.start(),
            "pause": lambda _: control.pause(),
            "resume": lambda _: control.resume(),
            "end": lambda _: control.end(),
            "mark": control.mark,
        }
        while True:
            try:
                command, text = self._commands.get_nowait()
            except Empty:
                return True
            try:
                self._note("done", f"{command}: {orders[command](text)}")
            except WireError as error:
                self._note("refused", f"{command}: {error}")
            except RtdecodeError as error:
                self._note("refused", f"{command}: {error}")
                return False

    def _drop_commands(self, why: str) -> None:
        while not self._commands.empty():
            command, _ = self._commands.get_nowait()
            self._note("refused", f"{command}: {why}")

    def _note(self, kind: Literal["status", "done", "refused"], text: str) -> None:
        snapshot = self.snapshot
        volume = snapshot.outcomes[-1].index if snapshot.outcomes else -1
        number = snapshot.notes[-1].number + 1 if snapshot.notes else 1
        note = Note(number, volume, kind, text)
        self._change(notes=(*snapshot.notes, note)[-REMEMBERED:])

    def _change(self, **changes: object) -> None:
        self.snapshot = replace(self.snapshot, **changes)  # type: ignore[arg-type]
