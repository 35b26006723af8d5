"""Commands to a service."""

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
    """Commands a service.

    Parameters
    ----------
    endpoint
        Where it answers.
    timeout_s
        How long to wait for an answer.
    keys
        This client's keys, where the service asks for them: their folder, or the secret file.

    Raises
    ------
    ConfigError
        No endpoint, or keys that cannot be used.
    """

    def __init__(
        self, endpoint: str = CONTROL, timeout_s: float = 5.0, keys: Path | str | None = None
    ) -> None:
        own = None if keys is None else client_keys(Path(keys))
        self._endpoint = endpoint
        self._keys = own
        self._timeout_s = timeout_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
        self._socket.setsockopt(zmq.IPV6, "[" in endpoint)
        if own is not None:
            unlock(self._socket, own)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ConfigError(f"{endpoint} is no endpoint: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
        self._context.term()

    def status(self) -> Status:
        """Return where the service stands."""
        return self._expect(StatusRequest(), Status)

    def start(self) -> str:
        """Begin the next run."""
        return self._expect(StartRequest(), Done).detail

    def end(self) -> str:
        """End the run once what has come is decided; the answer does not wait for that."""
        return self._expect(EndRequest(), Done).detail

    def pause(self) -> str:
        """Decide nothing until `resume`; volumes are taken in all the same."""
        return self._expect(PauseRequest(), Done).detail

    def resume(self) -> str:
        """Decide again."""
        return self._expect(ResumeRequest(), Done).detail

    def mark(self, text: str) -> str:
        """Put a remark into the session's record."""
        return self._expect(MarkRequest(text=text), Done).detail

    def event(
        self, trial_type: str, onset_s: float | None = None, duration_s: float | None = None
    ) -> str:
        """Put a presented event into the run's record.

        Parameters
        ----------
        trial_type
            What was presented, in at most 100 printable characters; the record is shared with it.
        onset_s
            Seconds since the acquisition of the run's first volume began, by the stimulus program's
            own clock; `None`: now, by the service's (within a volume's delay, see the protocol).
        duration_s
            Seconds; `None` where it is not known.

        Raises
        ------
        WireError
            A value is not possible, or nothing can be recorded now.
        """
        for name, value in (("onset_s", onset_s), ("duration_s", duration_s)):
            # On the wire they would be null, which means something else.
            if value is not None and not math.isfinite(value):
                raise WireError(f"{name} ({value}) must be a number, within {MAX_EVENT_S:g} s")
        request = EventRequest(trial_type=trial_type, onset_s=onset_s, duration_s=duration_s)
        return self._expect(request, Done).detail

    def shutdown(self) -> str:
        """Stop the service; an unfinished run can be continued."""
        return self._expect(ShutdownRequest(), Done).detail

    def snapshot(self, since: int | None = None) -> Snapshot:
        """Return at most 500 outcomes after a sequence number, or of this run."""
        return self._expect(SnapshotRequest(since=since), Snapshot)

    @property
    def _about_keys(self) -> str:
        if self._keys is None:
            return ", and keys if it asks for them"
        return f"; it answers only if its keys are those given and {self._keys.name} is allowed"

    def _expect(self, request: Request, kind: type[R]) -> R:
        """Return the answer to a request.

        Raises
        ------
        WireError
            The service refuses.
        ConfigError
            Nobody answers.
        """
        while self._socket.poll(0):
            self._socket.recv_multipart()  # answers that came after all, too late
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
