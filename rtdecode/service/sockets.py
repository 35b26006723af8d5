"""The service's sockets for outcomes and control; only its main thread uses them."""

from collections.abc import Callable
from typing import Self

import zmq

from rtdecode.errors import ConfigError
from rtdecode.keys import ServiceKeys, lock
from rtdecode.sources import Context
from rtdecode.wire import (
    MAX_CONTROL_BYTES,
    OUTCOME_TOPIC,
    STATUS_TOPIC,
    TEST_TOPIC,
    LinkTest,
    Numbered,
    Refused,
    Reply,
    Request,
    Status,
    WireError,
    decode,
    encode,
    listening,
    to_message,
)

MAX_REQUESTS = 100
"""Largest number of requests that are answered before the next volume."""
MAX_SUBSCRIPTION_BYTES = 1 << 10
"""libzmq stores a subscription in a tree of that depth; a very deep tree ends the process."""
_SUBSCRIPTION = {b"\x01": 1, b"\x00": -1}


class Sockets:
    """Binds both sockets, or neither.

    Parameters
    ----------
    context
        The service's.
    outcomes, control
        Addresses; the port `*` takes a free one.
    keys
        The service's keys, for which a `Doorkeeper` must run in the context. Without keys only
        loopback addresses are possible.

    Raises
    ------
    ConfigError
        A port is in use, or an address needs keys.
    """

    def __init__(
        self, context: Context, outcomes: str, control: str, keys: ServiceKeys | None = None
    ) -> None:
        self.subscribers = 0
        self._outcomes = context.socket(zmq.XPUB)
        self._control = context.socket(zmq.ROUTER)
        # Reports every subscription and its end, so that subscribers can be counted.
        self._outcomes.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._outcomes.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)
        self._control.setsockopt(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
        self._control.setsockopt(zmq.RCVHWM, MAX_REQUESTS)
        for socket, endpoint in ((self._outcomes, outcomes), (self._control, control)):
            socket.setsockopt(zmq.LINGER, 1000)
            if keys is not None:
                lock(socket, keys)
            socket.setsockopt(zmq.IPV6, "[" in endpoint)
            try:
                socket.bind(listening(endpoint, has_keys=keys is not None))
            except ConfigError:
                self.close()
                raise
            except zmq.ZMQError as error:
                self.close()
                raise ConfigError(
                    f"cannot listen on {endpoint} ({error}); another service may be running: stop "
                    "it, or choose another port or one of this computer's addresses"
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close both; messages on their way have one second."""
        self._outcomes.close()
        self._control.close()

    @property
    def outcomes(self) -> str:
        """The address at which outcomes are published."""
        return self._outcomes.getsockopt_string(zmq.LAST_ENDPOINT)

    @property
    def control(self) -> str:
        """The address at which requests are answered."""
        return self._control.getsockopt_string(zmq.LAST_ENDPOINT)

    def register(self, poller: zmq.Poller) -> None:
        """Wake `poller` for requests and subscriptions."""
        poller.register(self._outcomes, zmq.POLLIN)
        poller.register(self._control, zmq.POLLIN)

    def publish(self, numbered: Numbered) -> None:
        """Send an outcome to every subscriber."""
        self._outcomes.send_multipart([OUTCOME_TOPIC, encode(to_message(numbered))])

    def publish_status(self, status: Status) -> None:
        """Send the status to every subscriber."""
        self._outcomes.send_multipart([STATUS_TOPIC, encode(status)])

    def publish_test(self, test: LinkTest) -> None:
        """Ask every subscriber for an echo."""
        self._outcomes.send_multipart([TEST_TOPIC, encode(test)])

    def answer(self, handle: Callable[[Request], Reply]) -> None:
        """Answer the requests that have arrived; a malformed request is refused."""
        for _ in range(MAX_REQUESTS):
            if not self._outcomes.poll(0):
                break
            event = self._outcomes.recv()
            change = _SUBSCRIPTION.get(event[:1], 0)  # other messages are ignored
            if OUTCOME_TOPIC.startswith(event[1:]):
                self.subscribers += change
        for _ in range(MAX_REQUESTS):
            if not self._control.poll(0):
                return
            frames = self._control.recv_multipart()
            # REQ puts an empty frame after the route, DEALER does not; the answer mirrors it.
            cut = 2 if len(frames) > 1 and not frames[1] else 1
            reply = _reply(frames[cut:], handle)
            self._control.send_multipart([*frames[:cut], encode(reply)])


def _reply(frames: list[bytes], handle: Callable[[Request], Reply]) -> Reply:
    if len(frames) != 1:
        return Refused(error=f"a request is 1 frame, not {len(frames)}")
    try:
        request: Request = decode(frames[0], Request)
    except WireError as error:
        return Refused(error=str(error))
    return handle(request)
