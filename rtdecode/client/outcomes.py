"""Receives the outcomes of a service."""

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
"""After this time without an outcome, ask the service for missed outcomes, seconds."""


class Outcomes:
    """The outcomes of a service's run from its first volume, also for a client that starts late.

    Iterating waits for each outcome and ends with the run. After a broken connection it reconnects
    and fetches the missed outcomes. Only one thread may use it.

    Parameters
    ----------
    outcomes
        The service's endpoint for outcomes.
    control
        The service's endpoint for requests; `None`: the next port after `outcomes`.
    timeout_s
        Longest wait for one outcome while iterating, seconds; `None`: no limit.
    keys
        Folder or secret file of this client's keys, for a service that requires keys.

    Raises
    ------
    ConfigError
        An endpoint is not valid, or the keys cannot be used.
    """

    def __init__(
        self,
        outcomes: str = OUTCOMES,
        control: str | None = None,
        timeout_s: float | None = None,
        keys: Path | str | None = None,
    ) -> None:
        client = None if keys is None else client_keys(Path(keys))
        self.status: Status | None = None
        """The newest status that the service published."""
        self._timeout_s = timeout_s
        self._ready: deque[Numbered] = deque()
        self._early: dict[int, Numbered] = {}
        """Outcomes that wait for a missing one before them, by sequence number."""
        self._session = ""
        self._sequence: int | None = None
        self._end: tuple[str, int, int] | None = None
        """Session, run and last sequence number of a run that has ended."""
        self._reported_end: tuple[str, int, int] | None = None
        self.fault = ""
        """The fault that stopped the service; empty if there is none."""
        self._fault_s = 0.0
        self._request_s = -CATCH_UP_S
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._outcomes = self._context.socket(zmq.SUB)
        self._control = self._context.socket(zmq.DEALER)
        for socket in (self._outcomes, self._control):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
            socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
            socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
            socket.setsockopt(zmq.IPV6, "[" in outcomes)
            if client is not None:
                unlock(socket, client)
        # Do not queue requests while there is no connection.
        self._control.setsockopt(zmq.IMMEDIATE, 1)
        self._outcomes.setsockopt(zmq.RCVHWM, 0)
        self._outcomes.subscribe(OUTCOME_TOPIC)
        self._outcomes.subscribe(STATUS_TOPIC)
        self._outcomes.subscribe(TEST_TOPIC)
        try:
            # Subscribe before asking for earlier outcomes, so that none is missed between the two.
            self._outcomes.connect(outcomes)
            self._control.connect(control or next_port(outcomes))
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"{outcomes} or {control} is not an endpoint: {error}") from error
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
            No service has opened the folder yet.
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
            No outcome arrived within `timeout_s`.
        RunError
            The service stopped because of a fault; the error has the message of the service.
        """
        deadline_s = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            left_s = CATCH_UP_S if deadline_s is None else deadline_s - time.monotonic()
            outcome = self.poll(max(0.0, min(left_s, CATCH_UP_S)))
            if outcome is not None:
                return outcome
            if self._is_faulted:
                raise RunError(f"the service stopped: {self.fault}")
            if self.ended:
                self._reported_end = self._end  # iterating again waits for the next run
                raise StopIteration
            if left_s <= 0:
                raise TimeoutError(f"no outcome arrived within {self._timeout_s} s")

    @property
    def ended(self) -> bool:
        """Whether the run has ended and all its outcomes were returned."""
        # A late answer may report again the end of an earlier run.
        is_new = self._is_complete and self._end != self._reported_end
        return is_new and not self._ready and not self.fault

    @property
    def _is_complete(self) -> bool:
        """Whether the service has ended a run and its last outcome was received."""
        if self._end is None:
            return False
        session, _, last = self._end
        return (session, last) == (self._session, self._sequence)

    @property
    def _is_faulted(self) -> bool:
        """Whether a fault stopped the service and all earlier outcomes were returned."""
        if not self.fault or self._ready:
            return False
        # A stopped service cannot be asked for missed outcomes.
        return self._is_complete or time.monotonic() - self._fault_s > 2 * CATCH_UP_S

    def poll(self, timeout_s: float = 0.0) -> Numbered | None:
        """Return the next outcome, or `None` if none arrives in time.

        Parameters
        ----------
        timeout_s
            Waiting time, seconds. A program that draws frames polls with 0 in each frame.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self._ready:
            if time.monotonic() - self._request_s >= CATCH_UP_S:
                self._ask()
            left_s = deadline_s - time.monotonic()
            wait_s = max(0.0, min(left_s, CATCH_UP_S / 10))
            readable = dict(self._poller.poll(int(wait_s * 1e3)))
            if self._outcomes in readable:
                self._receive()
            if self._control in readable:
                self._catch_up()
            if self._ready or (left_s <= 0 and not readable) or self.ended or self._is_faulted:
                break
        return self._ready.popleft() if self._ready else None

    def _receive(self) -> None:
        try:
            topic, *frames = self._outcomes.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:  # a reconnection may discard a message between poll and receive
            return
        if len(frames) != 1:
            return
        if topic == STATUS_TOPIC:
            self._update_status(decode(frames[0], Status))
        elif topic == TEST_TOPIC:
            self._echo(decode(frames[0], LinkTest))
        else:
            self._take(from_message(decode(frames[0], OutcomeMessage)))
            self._request_s = time.monotonic()  # outcomes arrive, so there is no need to ask

    def _echo(self, test: LinkTest) -> None:
        """Answer a test of `rtdecode check`; the program does not see it."""
        if self._control.poll(0, zmq.POLLOUT):  # otherwise the next test is answered
            self._control.send(encode(EchoRequest(nonce=test.nonce)), zmq.NOBLOCK)

    def _update_status(self, status: Status) -> None:
        self.status = status
        if status.state == "faulted" and not self.fault:
            self.fault, self._fault_s = status.detail, time.monotonic()
        if status.state in {"ended", "faulted"}:
            self._end = (status.session, status.run, status.sequence)
        else:
            self._end = None

    def _catch_up(self) -> None:
        try:
            reply: Reply = decode(self._control.recv_multipart(zmq.NOBLOCK)[-1], Reply)
        except zmq.Again:  # as above; `poll` asks again
            return
        if isinstance(reply, Refused):
            raise WireError(f"the service refuses to send its outcomes: {reply.error}")
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
            self._end = (reply.session, reply.run, reply.last)
        if self._sequence is not None and self._sequence < reply.last:
            self._ask()

    def _take(self, numbered: Numbered) -> None:
        if numbered.session != self._session:
            self._new_session(numbered.session)
        if self._sequence is not None and numbered.sequence <= self._sequence:
            return
        self._early[numbered.sequence] = numbered
        self._release()
        if self._early:
            self._ask()

    def _release(self) -> None:
        while self._sequence is not None and self._sequence + 1 in self._early:
            self._sequence += 1
            self._ready.append(self._early.pop(self._sequence))

    def _new_session(self, session: str) -> None:
        self._session = session
        self._sequence = None
        self._early.clear()
        self._end = None
        self._ask()

    def _ask(self) -> None:
        self._request_s = time.monotonic()
        request = SnapshotRequest(since=self._sequence)
        if self._control.poll(0, zmq.POLLOUT):
            self._control.send(encode(request), zmq.NOBLOCK)
        else:
            # Not connected yet: ask again soon.
            self._request_s -= 0.9 * CATCH_UP_S
