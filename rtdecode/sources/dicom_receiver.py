"""Objects sent over DICOM (C-STORE), each answered once it is durable.

The association is pynetdicom's; what is here bounds it and ties its threads to the source's. Every
association has two threads of the library's; a third accepts callers. An object waits in its
association's thread until it is acknowledged, so that a sender is told of success only after that,
and is slowed down where the service cannot keep up.
"""

import contextlib
import logging
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from queue import Empty, SimpleQueue
from socketserver import BaseServer
from threading import Event as Signal
from threading import Lock
from typing import Any, Self

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from rtdecode.clock import Clock
from rtdecode.errors import ConfigError, RunError
from rtdecode.sources.base import Arrival
from rtdecode.sources.dicom_address import DicomAddress

MAX_OBJECT_BYTES = 1 << 30
MAX_HELD_BYTES = 1 << 31
"""Of all objects that are being received at one time."""
MAX_PDU_BYTES = 1 << 20
MAX_ASSOCIATIONS, MAX_CONNECTIONS = 8, 16
"""Callers at one time; connections include those that have not said yet what they want."""
PDU_BYTES = 1 << 17
"""How much a sender is asked to send in one piece."""
MAX_BATCH, MAX_BATCH_BYTES = 64, 1 << 25
HELLO_S, STALL_S, IDLE_S = 5.0, 10.0, 120.0
"""How long a caller may take to introduce itself, pause within a piece, or be silent."""
GRACE_S = 1.0
"""Left to senders for the last answers on closing."""
POLL_S = 0.1
"""How soon a request to stop is noticed."""
STORED, REFUSED = 0x0000, 0xA700
"""DICOM statuses: success, and out of resources, upon which a sender tries again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Stored:
    """An object that its sender waits to have acknowledged."""

    content: bytes
    received_ns: int
    status: Future[int] = field(default_factory=Future)


class DicomSource:
    """A storage service class provider for every storage SOP class and transfer syntax.

    An object becomes a DICOM file: a header that names the transfer syntax, then the data set as it
    came. C-ECHO is answered. Nothing of a caller or an object is logged.

    Parameters
    ----------
    address
        Where to listen, and for whom.
    clock
        For the stamps.

    Raises
    ------
    ConfigError
        On entering: the port is taken, or the address is not this machine's.
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
        self._server: _Server
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
                "authenticated; keep it to the scanner's own network"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def endpoint(self) -> str:
        """Where it listens, the port resolved."""
        host, port = self._server.server_address[:2]
        return f"dicom://[{host}]:{port}" if ":" in host else f"dicom://{host}:{port}"

    def batches(self, stop: Signal) -> Iterator[Sequence[Arrival]]:
        """Yield what has come in, until `stop` is set; afterwards whoever sends is refused.

        Raises
        ------
        RunError
            Nobody accepts callers any more.
        """
        try:
            while not stop.is_set():
                if self._serving.done():
                    raise RunError(
                        "the DICOM receiver has stopped; start again with the same session, and "
                        "what was not acknowledged is sent again"
                    ) from self._serving.exception()
                self._take()
                if self._taken:
                    yield [self._arrival(stored) for stored in self._taken]
        finally:
            self._refuse()

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Tell the senders of the batch last yielded that it is safe."""
        for stored, _ in zip(self._taken, receipts, strict=True):
            stored.status.set_result(STORED)
        self._taken = []

    def _listen(self) -> "_Server":
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
            return _Server(
                entity,
                (address.host, address.port),
                address.title,
                entity.supported_contexts,
                evt_handlers=[
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_PDU_RECV, self._bound),
                    (evt.EVT_CONN_CLOSE, _forget),
                    (evt.EVT_REJECTED, self._explain),
                ],
                request_handler=_Caller,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address.host}:{address.port} for DICOM ({error}); another "
                "service may be running: stop it, or choose another port or address"
            ) from error

    def _store(self, event: Event) -> int:
        """Hand one object to the source's thread, and wait for what becomes of it."""
        stored = _Stored(event.encoded_dataset(), self._clock.monotonic_ns())
        with self._lock:
            if self._closed or event.assoc.is_aborted:  # what was broken off may look whole
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
        """Let nobody wait for an acknowledgement that cannot come."""
        with self._lock:
            self._closed = True
            while not self._queue.empty():
                self._taken.append(self._queue.get())
        for stored in self._taken:
            stored.status.set_result(REFUSED)
        self._taken = []

    def _bound(self, event: Event) -> None:
        """Break off an association that sends too much, while that is still in little pieces."""
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
        log.warning("a DICOM sender was broken off: it sends %s", why)
        _forget(event)
        association.abort(block=False)

    def _explain(self, event: Event) -> None:
        """Tell why a caller was turned away, without naming it."""
        user = event.assoc.requestor
        asked = user.primitive
        if asked is not None and asked.called_ae_title != self._address.title:
            why = "it calls another AE title than this service's (`aet` in --source)"
        elif self._address.callers and user.ae_title not in self._address.callers:
            why = "its AE title is not among those that may send (`from` in --source)"
        else:
            why = f"there are {MAX_ASSOCIATIONS} already"
        log.warning("a DICOM caller was turned away: %s", why)


class _Server(ThreadedAssociationServer):
    """Accepts callers."""

    def server_bind(self) -> None:
        """Take the port for this process alone."""
        assert self.socket is not None  # noqa: S101 - the library types it as if it might be
        if sys.platform == "win32":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Leave no more connections open than there are threads for."""
        return len(self.active_associations) < MAX_CONNECTIONS

    def service_actions(self) -> None:
        """Do nothing: the library would collect garbage, and with it stop the decoder."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Tell of a caller that could not be served; the others are."""
        log.warning("a DICOM caller could not be served", exc_info=sys.exc_info())

    def end(self) -> None:
        """Accept nobody any more, and end every association."""
        self.shutdown()
        for association in self.active_associations:
            if association.is_established:
                association.abort(block=False)
        for association in self.active_associations:
            if association.is_aborted:
                association.dul.join(GRACE_S)
            transport = association.dul.socket
            if association.dul.is_alive() and transport is not None and transport.socket:
                with contextlib.suppress(OSError):  # closed meanwhile
                    transport.socket.shutdown(socket.SHUT_RDWR)
            association.kill()

    def shutdown(self) -> None:
        """Stop accepting."""
        BaseServer.shutdown(self)  # the library's own expects to be in a list
        self.server_close()


class _Caller(RequestHandler):
    """Starts an association."""

    def handle(self) -> None:
        """Give a caller its association, with a transport that is bounded."""
        association = self._create_association()
        association.dul.event_queue.get_nowait()  # the transport below tells of itself
        association.dul.socket = _Transport(association, client_socket=self.request)
        self.request.settimeout(STALL_S)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # answers are small
        association.start()


class _Transport(AssociationSocket):
    """Reads no more than may be."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read one piece.

        Raises
        ------
        OSError
            It claims to be larger than any that was agreed upon.
        """
        if nr_bytes > MAX_PDU_BYTES:
            log.warning("a DICOM sender was broken off: it claims a piece of %d bytes", nr_bytes)
            raise OSError("PDU too large")
        if sys.platform == "linux" and self.socket is not None:
            # A sender that writes heads and bodies apart waits 40 ms for the head's delayed ACK.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().recv(nr_bytes)

    def _shutdown_socket(self) -> None:
        """Close it; the library leaves open what the other side closed first."""
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()


def _held_bytes(association: Association) -> int:
    """Return how much there is of an object that is still being received."""
    message = association.dimse.message
    if message is None:
        return 0
    held: int = message.encoded_command_set.tell()
    return held + (message.data_set.tell() if message.data_set else 0)


def _forget(event: Event) -> None:
    """Free what a broken association has received; its threads may live on for a moment."""
    message = event.assoc.dimse.message
    if message is not None:
        message.data_set, message.encoded_command_set = BytesIO(), BytesIO()


@contextlib.contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    """Keep a logger that names callers and objects quiet."""
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
