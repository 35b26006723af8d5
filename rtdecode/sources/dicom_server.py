"""The TCP server of the DICOM receiver: pynetdicom's, with limits on connections and PDUs."""

import contextlib
import logging
import socket
import sys
from socketserver import BaseServer
from typing import Any

from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

MAX_PDU_BYTES = 1 << 20
MAX_CONNECTIONS = 16
"""Largest number at one time; a connection may not have asked for an association yet."""
STALL_S = 10.0
"""Longest pause within a PDU."""
GRACE_S = 1.0
"""Time for the last answers on closing."""

log = logging.getLogger(__name__)


class Server(ThreadedAssociationServer):
    """Accepts senders."""

    def server_bind(self) -> None:
        """Bind the port for this process only."""
        assert self.socket is not None  # noqa: S101 - for the type checker
        if sys.platform == "win32":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Limit the number of open connections."""
        return len(self.active_associations) < MAX_CONNECTIONS

    def service_actions(self) -> None:
        """Do nothing: the library would collect garbage here, which pauses the decoder."""

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Log an error with one sender; the others are not affected."""
        log.warning("a DICOM sender could not be served", exc_info=sys.exc_info())

    def end(self) -> None:
        """Stop accepting senders, and end every association."""
        self.shutdown()
        for association in self.active_associations:
            if association.is_established:
                association.abort(block=False)
        for association in self.active_associations:
            if association.is_aborted:
                association.dul.join(GRACE_S)
            transport = association.dul.socket
            if association.dul.is_alive() and transport is not None and transport.socket:
                with contextlib.suppress(OSError):  # closed in the meantime
                    transport.socket.shutdown(socket.SHUT_RDWR)
            association.kill()

    def shutdown(self) -> None:
        """Stop accepting."""
        BaseServer.shutdown(self)  # the library's version needs an entry in its list of servers
        self.server_close()


class Caller(RequestHandler):
    """Starts an association."""

    def handle(self) -> None:
        """Start an association with a limited transport."""
        association = self._create_association()
        association.dul.event_queue.get_nowait()  # the transport below reports its own connection
        association.dul.socket = _Transport(association, client_socket=self.request)
        self.request.settimeout(STALL_S)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # answers are small
        association.start()


class _Transport(AssociationSocket):
    """Limits the size of one PDU."""

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a part of the connection.

        Raises
        ------
        OSError
            Its size is over the limit.
        """
        if nr_bytes > MAX_PDU_BYTES:
            log.warning(
                "a DICOM association was aborted: its sender announces a PDU of %d bytes", nr_bytes
            )
            raise OSError("PDU too large")
        if sys.platform == "linux" and self.socket is not None:
            # A sender that writes header and body separately waits 40 ms for a delayed ACK.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().recv(nr_bytes)

    def _shutdown_socket(self) -> None:
        """Close the socket; the library leaves it open if the other side closed it first."""
        super()._shutdown_socket()
        if self.socket is not None:
            self.socket.close()
