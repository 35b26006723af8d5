"""The source's thread: writes objects to the journal and puts them into the queue."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event
from typing import Self

import zmq

from rtdecode.clock import Clock
from rtdecode.journal import Journal
from rtdecode.journal.pack import Entry, Kind, Record
from rtdecode.sources import Arrival, Context, Source

DEPTH = 64
"""Largest number of objects in the queue; further objects wait in the source."""
WAKE = "inproc://arrived"


@dataclass(frozen=True, slots=True)
class Received:
    """A durable record that has not been applied."""

    record: Record
    content: bytes
    journalled_ns: int


class Intake:
    """Runs a source in its own thread while the `with` block lasts.

    Parameters
    ----------
    source
        Open.
    journal
        Makes objects durable before they are acknowledged and queued.
    context, clock
        The service's.
    """

    def __init__(
        self,
        source: Source,
        journal: Journal,
        context: Context,
        clock: Clock,
    ) -> None:
        self._source = source
        self._journal = journal
        self._context = context
        self._clock = clock
        self._queue: Queue[Received] = Queue(DEPTH)
        self._stop = Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="source")
        self._wake_up: zmq.Socket[bytes] = context.socket(zmq.PULL)
        self._wake_up.bind(WAKE)
        self._thread: Future[None]

    def __enter__(self) -> Self:
        self._thread = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        self._wake_up.close()

    @property
    def exhausted(self) -> bool:
        """Whether the source has ended and the queue is empty.

        Raises
        ------
        Exception
            The exception that ended the source's thread.
        """
        if not (self._thread.done() and self._queue.empty()):
            return False
        self._thread.result()
        return True

    @property
    def waiting(self) -> bool:
        """Whether the queue has a record, or the source is still reading earlier objects."""
        return not self._queue.empty() or (self._source.behind and not self._thread.done())

    def register(self, poller: zmq.Poller) -> None:
        """Wake `poller` when a record arrives."""
        poller.register(self._wake_up, zmq.POLLIN)

    def take(self) -> Received | None:
        """Return the next record; `None` if the queue is empty."""
        while self._wake_up.poll(0):
            self._wake_up.recv()
        try:
            return self._queue.get_nowait()
        except Empty:
            return None

    @property
    def empty(self) -> bool:
        """Whether the queue is empty."""
        return self._queue.empty()

    def _run(self) -> None:
        with self._context.socket(zmq.PUSH) as sender:
            sender.setsockopt(zmq.LINGER, 0)
            sender.connect(WAKE)
            for batch in self._source.batches(self._stop):
                records = self._journal.append_objects([_entry(a) for a in batch])
                self._source.acknowledge(
                    ["duplicate" if record is None else "journalled" for record in records]
                )
                self._put(batch, records, sender)

    def _put(
        self, batch: Sequence[Arrival], records: Sequence[Record | None], sender: zmq.Socket[bytes]
    ) -> None:
        now_ns = self._clock.monotonic_ns()
        for arrival, record in zip(batch, records, strict=True):
            if record is None:
                continue
            received = Received(record, arrival.content, now_ns)
            while not self._stop.is_set():
                try:
                    self._queue.put(received, timeout=0.1)
                except Full:
                    continue
                break
            if sender.poll(0, zmq.POLLOUT):  # otherwise a wake-up is already queued
                sender.send(b"", zmq.NOBLOCK)


def _entry(arrival: Arrival) -> Entry:
    if arrival.given_up is not None:
        return Entry(Kind.GIVE_UP, {"index": arrival.given_up})
    if arrival.paused is not None:
        return Entry(Kind.PAUSE if arrival.paused else Kind.RESUME, {})
    header = {"name": arrival.name, "received_ns": arrival.received_ns}
    return Entry(Kind.OBJECT, header, arrival.content)
