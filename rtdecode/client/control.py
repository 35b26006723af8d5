"""Sends commands to a service."""

import math
from pathlib import Path
from typing import Self, TypeVar

import zmq

from rtdecode.errors import ConfigError
from rtdecode.keys import client_keys, unlock
from rtdecode.ports import CONTROL
from rtdecode.wire import (
    MAX_EVENT_S,
    MAX_REPLY_BYTES,
    Done,
    EndRequest,
    EventRequest,
    MarkRequest,
    PauseRequest,
    Refused,
    Reply,
    Request,
    ResumeRequest,
    ShutdownRequest,
    Snapshot,
    SnapshotRequest,
    StartRequest,
    Status,
    StatusRequest,
    WireError,
    decode,
    encode,
)

R = TypeVar("R", Status, Done, Snapshot)


class Control:
    """Sends commands to a service and waits for its answers.

    Parameters
    ----------
    endpoint
        The service's endpoint for requests.
    timeout_s
        Waiting time for an answer, seconds.
    keys
        Folder or secret file of this client's keys, for a service that requires keys.

    Raises
    ------
    ConfigError
        The endpoint is not valid, or the keys cannot be used.
    """

    def __init__(
        self, endpoint: str = CONTROL, timeout_s: float = 5.0, keys: Path | str | None = None
    ) -> None:
        self._endpoint = endpoint
        self._keys = None if keys is None else client_keys(Path(keys))
        self._timeout_s = timeout_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
        self._socket.setsockopt(zmq.IPV6, "[" in endpoint)
        if self._keys is not None:
            unlock(self._socket, self._keys)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"{endpoint} is not an endpoint: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
        self._context.term()

    def status(self) -> Status:
        """Return the status of the service."""
        return self._expect(StatusRequest(), Status)

    def start(self) -> str:
        """Begin the next run."""
        return self._expect(StartRequest(), Done).detail

    def end(self) -> str:
        """End the run after the received volumes are decided. The answer does not wait for them."""
        return self._expect(EndRequest(), Done).detail

    def pause(self) -> str:
        """Decide no volume until `resume`. Volumes are still recorded."""
        return self._expect(PauseRequest(), Done).detail

    def resume(self) -> str:
        """End the pause."""
        return self._expect(ResumeRequest(), Done).detail

    def mark(self, text: str) -> str:
        """Add a remark to the session's record."""
        return self._expect(MarkRequest(text=text), Done).detail

    def event(
        self, trial_type: str, onset_s: float | None = None, duration_s: float | None = None
    ) -> str:
        """Add a presented event to the run's record.

        Parameters
        ----------
        trial_type
            Name of the event, at most 100 printable characters. Shared records contain it.
        onset_s
            Seconds since the start of the acquisition of the run's first volume, by the clock of
            the stimulus program; `None`: now, by the service's clock (see docs/protocol.md for its
            accuracy).
        duration_s
            Seconds; `None` if it is not known.

        Raises
        ------
        WireError
            A value is not possible, or the event cannot be recorded now.
        """
        for name, value in (("onset_s", onset_s), ("duration_s", duration_s)):
            # JSON would make it null, which has another meaning.
            if value is not None and not math.isfinite(value):
                raise WireError(
                    f"{name} ({value}) must be a finite number, at most {MAX_EVENT_S:g} s"
                )
        request = EventRequest(trial_type=trial_type, onset_s=onset_s, duration_s=duration_s)
        return self._expect(request, Done).detail

    def shutdown(self) -> str:
        """Stop the service. An unfinished run can be resumed."""
        return self._expect(ShutdownRequest(), Done).detail

    def snapshot(self, since: int | None = None) -> Snapshot:
        """Return at most 500 outcomes: those after a sequence number, or those of this run."""
        return self._expect(SnapshotRequest(since=since), Snapshot)

    @property
    def _about_keys(self) -> str:
        if self._keys is None:
            return ", and --keys if it requires keys"
        return f"; it answers only if {self._keys.name} is allowed and service.key is its key"

    def _expect(self, request: Request, kind: type[R]) -> R:
        """Return the answer to a request.

        Raises
        ------
        WireError
            The service refuses.
        ConfigError
            No service answers.
        """
        while self._socket.poll(0):
            self._socket.recv_multipart()  # late answers to earlier requests
        self._socket.send(encode(request))
        if not self._socket.poll(int(self._timeout_s * 1e3)):
            raise ConfigError(
                f"no service answers at {self._endpoint} within {self._timeout_s} s; start one, or "
                f"give the endpoint that it printed{self._about_keys}"
            )
        reply: Reply = decode(self._socket.recv_multipart()[-1], Reply)
        if not isinstance(reply, kind):
            raise WireError(reply.error if isinstance(reply, Refused) else f"unexpected: {reply}")
        return reply
