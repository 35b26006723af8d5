"""Outcomes as they come."""

import time
from collections import deque
from pathlib import Path
from typing import Self

import zmq

from rtdecode.client.find_endpoints import next_port, session_endpoints
from rtdecode.errors import ConfigError, RunError
from rtdecode.keys import client_keys, unlock
from rtdecode.ports import OUTCOMES
from rtdecode.wire import (
    MAX_REPLY_BYTES,
    OUTCOME_TOPIC,
    STATUS_TOPIC,
    TEST_TOPIC,
    EchoRequest,
    LinkTest,
    Numbered,
    OutcomeMessage,
    Refused,
    Reply,
    Snapshot,
    SnapshotRequest,
    Status,
    WireError,
    decode,
    encode,
    from_message,
)

CATCH_UP_S = 1.0
"""After so much silence the service is asked whether anything was missed."""


class Outcomes:
    """The outcomes of a service's run from its first volume on, however late one asks.

    Iterating waits for each outcome and ends with the run. A broken connection mends itself, and
    what was missed meanwhile is fetched; so is what came before. Not for several threads at once.

    Parameters
    ----------
    outcomes
        Where the service publishes.
    control
        Where it answers; the port after that of `outcomes` where none is given.
    timeout_s
        How long iterating waits for one outcome; `None`: for ever.
    keys
        This client's keys, where the service asks for them: their folder, or the secret file.

    Raises
    ------
    ConfigError
        No endpoint, or keys that cannot be used.
    """

    def __init__(
        self,
        outcomes: str = OUTCOMES,
        control: str | None = None,
        timeout_s: float | None = None,
        keys: Path | str | None = None,
    ) -> None:
        own = None if keys is None else client_keys(Path(keys))
        self.status: Status | None = None
        """What the service last published about itself."""
        self._timeout_s = timeout_s
        self._ready: deque[Numbered] = deque()
        self._held: dict[int, Numbered] = {}
        self._session = ""
        self._sequence: int | None = None
        self._over: tuple[str, int, int] | None = None
        self._told: tuple[str, int, int] | None = None
        self.fault = ""
        """What stopped the service; empty while nothing has."""
        self._fault_s = 0.0
        self._asked_s = -CATCH_UP_S
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._outcomes = self._context.socket(zmq.SUB)
        self._control = self._context.socket(zmq.DEALER)
        for socket in (self._outcomes, self._control):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
            socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
            socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
            socket.setsockopt(zmq.IPV6, "[" in outcomes)
            if own is not None:
                unlock(socket, own)
        # Requests are not piled up for a service that is away.
        self._control.setsockopt(zmq.IMMEDIATE, 1)
        self._outcomes.setsockopt(zmq.RCVHWM, 0)
        self._outcomes.subscribe(OUTCOME_TOPIC)
        self._outcomes.subscribe(STATUS_TOPIC)
        self._outcomes.subscribe(TEST_TOPIC)
        try:
            # First subscribe, then ask for what came before: nothing falls in between.
            self._outcomes.connect(outcomes)
            self._control.connect(control or next_port(outcomes))
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"{outcomes} / {control} is no endpoint: {error}") from error
        self._poller = zmq.Poller()
        self._poller.register(self._outcomes, zmq.POLLIN)
        self._poller.register(self._control, zmq.POLLIN)

    @classmethod
    def of_session(
        cls, folder: Path, timeout_s: float | None = None, keys: Path | str | None = None
    ) -> Self:
        """Connect to the service that has a session folder open.

        Raises
        ------
        ConfigError
            No service has ever opened it.
        """
        endpoints = session_endpoints(folder)
        return cls(endpoints["outcomes"], endpoints["control"], timeout_s, keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_control"):
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._outcomes.close()
        self._control.close()
        self._context.term()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Numbered:
        """Wait for the next outcome.

        Raises
        ------
        StopIteration
            The run has ended.
        TimeoutError
            Nothing came for `timeout_s`.
        RunError
            The service stopped because of a fault; the message is the service's.
        """
        deadline_s = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            left_s = CATCH_UP_S if deadline_s is None else deadline_s - time.monotonic()
            outcome = self.poll(max(0.0, min(left_s, CATCH_UP_S)))
            if outcome is not None:
                return outcome
            if self._faulted:
                raise RunError(f"the service stopped: {self.fault}")
            if self.ended:
                self._told = self._over  # iterating again waits for the next run
                raise StopIteration
            if left_s <= 0:
                raise TimeoutError(f"no outcome came for {self._timeout_s} s")

    @property
    def ended(self) -> bool:
        """Whether the run is over and all its outcomes were returned."""
        # An answer on its way may say once more that a run is over which ended long ago.
        over = self._whole and self._over != self._told
        return over and not self._ready and not self.fault

    @property
    def _whole(self) -> bool:
        """Whether the service has ended a run whose last outcome is here."""
        if self._over is None:
            return False
        session, _, last = self._over
        return (session, last) == (self._session, self._sequence)

    @property
    def _faulted(self) -> bool:
        """Whether a fault stopped the service and what came before it was returned."""
        if not self.fault or self._ready:
            return False
        # A service that is gone no longer says what was missed.
        return self._whole or time.monotonic() - self._fault_s > 2 * CATCH_UP_S

    def poll(self, timeout_s: float = 0.0) -> Numbered | None:
        """Return the next outcome, or `None` if none comes in time.

        Parameters
        ----------
        timeout_s
            How long to wait; a program that draws frames polls with 0 in each.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._ready:
            if time.monotonic() - self._asked_s >= CATCH_UP_S:
                self._ask()
            left_s = deadline_s - time.monotonic()
            wait_s = max(0.0, min(left_s, CATCH_UP_S / 10))
            came = dict(self._poller.poll(int(wait_s * 1e3)))
            if self._outcomes in came:
                self._receive()
            if self._control in came:
                self._catch_up()
            if self._ready or (left_s <= 0 and not came) or self.ended or self._faulted:
                break
        return self._ready.popleft() if self._ready else None

    def _receive(self) -> None:
        topic, *frames = self._outcomes.recv_multipart()
        if len(frames) != 1:
            return
        if topic == STATUS_TOPIC:
            self._learn(decode(frames[0], Status))
        elif topic == TEST_TOPIC:
            self._echo(decode(frames[0], LinkTest))
        else:
            self._take(from_message(decode(frames[0], OutcomeMessage)))
            self._asked_s = time.monotonic()  # no silence, no need to ask

    def _echo(self, test: LinkTest) -> None:
        """Answer `rtdecode check`; the program never hears of it."""
        if self._control.poll(0, zmq.POLLOUT):  # else the next test finds it connected
            self._control.send(encode(EchoRequest(nonce=test.nonce)), zmq.NOBLOCK)

    def _learn(self, status: Status) -> None:
        self.status = status
        if status.state == "faulted" and not self.fault:
            self.fault, self._fault_s = status.detail, time.monotonic()
        if status.state in {"ended", "faulted"}:
            self._over = (status.session, status.run, status.sequence)
        else:
            self._over = None

    def _catch_up(self) -> None:
        reply: Reply = decode(self._control.recv_multipart()[-1], Reply)
        if isinstance(reply, Refused):
            raise WireError(f"the service does not give its outcomes: {reply.error}")
        if not isinstance(reply, Snapshot):
            return
        if reply.session != self._session:
            self._new_session(reply.session)
        if self._sequence is None:
            first = reply.outcomes[0].sequence - 1 if reply.outcomes else reply.last
            self._sequence = first
        for message in reply.outcomes:
            self._take(from_message(message))
        self._release()
        if reply.state == "ended":
            self._over = (reply.session, reply.run, reply.last)
        if self._sequence is not None and self._sequence < reply.last:
            self._ask()

    def _take(self, numbered: Numbered) -> None:
        if numbered.session != self._session:
            self._new_session(numbered.session)
        if self._sequence is not None and numbered.sequence <= self._sequence:
            return
        self._held[numbered.sequence] = numbered
        self._release()
        if self._held:
            self._ask()

    def _release(self) -> None:
        while self._sequence is not None and self._sequence + 1 in self._held:
            self._sequence += 1
            self._ready.append(self._held.pop(self._sequence))

    def _new_session(self, session: str) -> None:
        self._session = session
        self._sequence = None
        self._held.clear()
        self._over = None
        self._ask()

    def _ask(self) -> None:
        self._asked_s = time.monotonic()
        request = SnapshotRequest(since=self._sequence)
        if self._control.poll(0, zmq.POLLOUT):
            self._control.send(encode(request), zmq.NOBLOCK)
        else:
            # Not connected yet: soon again.
            self._asked_s -= 0.9 * CATCH_UP_S
