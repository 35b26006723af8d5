"""Objects that senders store over DICOM (C-STORE); each is answered when it is durable.

pynetdicom implements the association; this module limits it and connects its threads to the
source's. `dicom_server` limits the connections. Each association has two threads of the library,
and another thread accepts senders. An object waits in its association's thread until it is
acknowledged: the sender gets the answer only then, and slows down if the service is slower.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from queue import Empty, SimpleQueue
from threading import Event as Signal
from threading import Lock
from typing import Self

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from rtdecode.clock import Clock
from rtdecode.errors import ConfigError, RunError
from rtdecode.sources.base import Arrival
from rtdecode.sources.dicom_address import DicomAddress
from rtdecode.sources.dicom_server import Caller, Server

MAX_OBJECT_BYTES = 1 << 30
MAX_HELD_BYTES = 1 << 31
"""Largest total of the objects that are received at one time."""
MAX_ASSOCIATIONS = 8
PDU_BYTES = 1 << 17
"""Size of one PDU that senders are asked for."""
MAX_BATCH, MAX_BATCH_BYTES = 64, 1 << 25
HELLO_S, IDLE_S = 5.0, 120.0
"""Longest time for an association request, and for a silence."""
POLL_S = 0.1
"""Longest time until a request to stop is noticed."""
STORED, REFUSED = 0x0000, 0xA700
"""DICOM statuses: success, and out of resources, after which a sender tries again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    """An object whose sender waits for the acknowledgement."""

    content: bytes
    received_ns: int
    status: Future[int] = field(default_factory=Future)


class DicomSource:
    """A storage service class provider for every storage SOP class and transfer syntax.

    An object becomes a DICOM file: a header with the transfer syntax, then the unchanged data set.
    C-ECHO is answered. The log contains no data of a sender or an object.

    Parameters
    ----------
    address
        The receiver's address, and the permitted senders.
    clock
        For the stamps.

    Raises
    ------
    ConfigError
        On opening: the port is in use, or the address is not this machine's.
    """

    behind = False

    def __init__(self, address: DicomAddress, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._queue: SimpleQueue[_Stored] = SimpleQueue()
        self._taken: list[_Stored] = []
        self._received = 0
        self._lock = Lock()
        self._closed = False
        self._open: contextlib.ExitStack
        self._server: Server
        self._serving: Future[None]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            opening.enter_context(_silenced(logging.getLogger("pynetdicom")))
            self._server = self._listen()
            pool = opening.enter_context(ThreadPoolExecutor(1, thread_name_prefix="dicom"))
            opening.callback(self._server.end)
            opening.callback(self._refuse)
            self._serving = pool.submit(self._server.serve_forever, POLL_S)
            self._open = opening.pop_all()
        if not self._address.loopback:
            log.warning(
                "other machines can reach the DICOM port, and DICOM is neither encrypted nor "
                "authenticated; use it in the scanner's own network only"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def endpoint(self) -> str:
        """Its address, with the port."""
        host, port = self._server.server_address[:2]
        return f"dicom://[{host}]:{port}" if ":" in host else f"dicom://{host}:{port}"

    def batches(self, stop: Signal) -> Iterator[Sequence[Arrival]]:
        """Yield objects until `stop` is set; later objects are refused.

        Raises
        ------
        RunError
            The receiver has stopped.
        """
        try:
            while not stop.is_set():
                if self._serving.done():
                    raise RunError(
                        "the DICOM receiver has stopped; start again with the same session: "
                        "senders send the objects without an acknowledgement again"
                    ) from self._serving.exception()
                self._take()
                if self._taken:
                    yield [self._arrival(stored) for stored in self._taken]
        finally:
            self._refuse()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Answer the senders of the last batch."""
        for stored, _ in zip(self._taken, receipts, strict=True):
            stored.status.set_result(STORED)
        self._taken = []

    def _listen(self) -> Server:
        address = self._address
        entity = AE(address.title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(address.callers)
        entity.maximum_associations = MAX_ASSOCIATIONS
        entity.maximum_pdu_size = PDU_BYTES
        entity.acse_timeout, entity.network_timeout = HELLO_S, IDLE_S
        entity.add_supported_context(Verification)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        try:
            return Server(
                entity,
                (address.host, address.port),
                address.title,
                entity.supported_contexts,
                evt_handlers=[
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_PDU_RECV, self._limit),
                    (evt.EVT_CONN_CLOSE, _forget),
                    (evt.EVT_REJECTED, self._explain),
                ],
                request_handler=Caller,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address.host}:{address.port} for DICOM ({error}); another "
                "service may be running: stop it, or choose another port or address"
            ) from error

    def _store(self, event: Event) -> int:
        """Pass one object to the source's thread, and wait for its status."""
        stored = _Stored(event.encoded_dataset(), self._clock.monotonic_ns())
        with self._lock:
            if self._closed or event.assoc.is_aborted:  # an aborted object may look complete
                return REFUSED
            self._queue.put(stored)
        return stored.status.result()

    def _take(self) -> None:
        with contextlib.suppress(Empty):
            self._taken = [self._queue.get(timeout=POLL_S)]
            taken = len(self._taken[0].content)
            while len(self._taken) < MAX_BATCH and taken < MAX_BATCH_BYTES:
                self._taken.append(self._queue.get_nowait())
                taken += len(self._taken[-1].content)

    def _arrival(self, stored: _Stored) -> Arrival:
        self._received += 1
        return Arrival(f"DICOM object {self._received}", stored.content, stored.received_ns)

    def _refuse(self) -> None:
        """Refuse the objects that can no longer be acknowledged."""
        with self._lock:
            self._closed = True
            while not self._queue.empty():
                self._taken.append(self._queue.get())
        for stored in self._taken:
            stored.status.set_result(REFUSED)
        self._taken = []

    def _limit(self, event: Event) -> None:
        """Abort an association that sends too much, before its data are complete."""
        association: Association = event.assoc
        if not isinstance(event.pdu, P_DATA_TF) or association.is_aborted:
            return
        if _held_bytes(association) > MAX_OBJECT_BYTES:
            why = f"an object of more than {MAX_OBJECT_BYTES} bytes"
        elif sum(map(_held_bytes, self._server.active_associations)) > MAX_HELD_BYTES:
            why = f"objects of more than {MAX_HELD_BYTES} bytes together"
        elif association.dimse.msg_queue.qsize() > 0:
            why = "a third object before the first is answered"
        else:
            return
        log.warning("a DICOM association was aborted: its sender sends %s", why)
        _forget(event)
        association.abort(block=False)

    def _explain(self, event: Event) -> None:
        """Log why a sender was rejected, without its name."""
        user = event.assoc.requestor
        asked = user.primitive
        if asked is not None and asked.called_ae_title != self._address.title:
            why = "it calls another AE title than this service's (`aet` in --source)"
        elif self._address.callers and user.ae_title not in self._address.callers:
            why = "its AE title is not one of the permitted senders (`from` in --source)"
        else:
            why = f"there are already {MAX_ASSOCIATIONS} associations"
        log.warning("a DICOM sender was rejected: %s", why)


def _held_bytes(association: Association) -> int:
    """Return the size of the incomplete object of an association."""
    message = association.dimse.message
    if message is None:
        return 0
    size: int = message.encoded_command_set.tell()
    return size + (message.data_set.tell() if message.data_set else 0)


def _forget(event: Event) -> None:
    """Free the data of an aborted association; its threads may run a little longer."""
    message = event.assoc.dimse.message
    if message is not None:
        message.data_set, message.encoded_command_set = BytesIO(), BytesIO()


@contextlib.contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    """Silence a logger that names senders and objects."""
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
