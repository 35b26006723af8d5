"""The C-STORE receiver, called by pynetdicom's own SCU."""

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from threading import Event
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError, RunError
from rtdecode.sources import Arrival
from rtdecode.sources import dicom_receiver as receiver
from rtdecode.sources import dicom_server as server
from rtdecode.sources.dicom_address import parse_address
from rtdecode.sources.dicom_receiver import DicomSource

MR, ECHO = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.1"
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
)
STORED, REFUSED = 0x0000, 0xA700


def image(
    pixels: bytes = b"\1\2" * 64, syntax: UID = ExplicitVRLittleEndian, sop_class: str = MR
) -> Dataset:
    """Return an image of a named patient; compressed pixels are anything."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
    ds.PatientName, ds.PatientID, ds.Modality = "Secret^Name", "SECRET-ID", "MR"
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 16, 16, 15
    ds.SamplesPerPixel, ds.PixelRepresentation = 1, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.add_new(0x7FE00010, "OW", encapsulate([pixels]) if syntax.is_compressed else pixels)
    if syntax.is_encapsulated:
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    return ds


class Receiving:
    """A receiver whose objects are acknowledged as they come."""

    def __init__(self, source: DicomSource, made: Callable[[Sequence[Arrival]], None]) -> None:
        self.source = source
        self.port = int(source.endpoint.rpartition(":")[2])
        self.arrived: list[Arrival] = []
        self.stop = Event()
        self._made = made

    def run(self) -> None:
        """Be the source's thread."""
        for batch in self.source.batches(self.stop):
            self._made(batch)
            self.arrived += batch
            self.source.acknowledge(["journalled"] * len(batch))

    @contextmanager
    def caller(
        self,
        title: str = "SCANNER",
        called: str = "RT",
        syntax: UID = ExplicitVRLittleEndian,
        sop_class: str = MR,
    ) -> Iterator[Association]:
        """Call, and hang up at the end."""
        entity = AE(title)
        entity.add_requested_context(sop_class, syntax)
        entity.add_requested_context(ECHO)
        links: list[socket.socket] = []
        association = entity.associate(
            "127.0.0.1",
            self.port,
            ae_title=called,
            evt_handlers=[(evt.EVT_CONN_OPEN, lambda e: links.append(e.assoc.dul.socket.socket))],
        )
        try:
            yield association
        finally:
            association.release()
            with suppress(RuntimeError):  # it was turned away before its threads began
                association.dul.join()
            for link in links:  # the library leaves open what the other side closed first
                link.close()


@contextmanager
def receiving(
    options: str = "?aet=RT", made: Callable[[Sequence[Arrival]], None] = lambda _: None
) -> Iterator[Receiving]:
    """Receive in a thread, until the block ends."""
    address = parse_address(f"dicom://127.0.0.1:0{options}")
    with ThreadPoolExecutor(1) as pool, DicomSource(address, SystemClock()) as source:
        running = Receiving(source, made)
        thread: Future[None] = pool.submit(running.run)
        try:
            yield running
        finally:
            running.stop.set()
            thread.exception(timeout=20)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name.split(",")[0])
def test_an_object_becomes_a_file_with_its_bytes_as_they_came(syntax: UID):
    """Preamble, header and the data set, which nothing decodes: the pixels are no real ones."""
    ds = image(syntax=syntax)
    with receiving() as service, service.caller(syntax=syntax) as scanner:
        assert scanner.send_c_store(ds).Status == STORED
    sent = encode(ds, syntax.is_implicit_VR, syntax.is_little_endian, deflated=syntax.is_deflated)
    content = service.arrived[0].content
    assert content[:132] == bytes(128) + b"DICM"
    meta = dcmread(BytesIO(content), stop_before_pixels=True).file_meta
    assert meta.TransferSyntaxUID == syntax
    assert meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert sent is not None
    assert content.endswith(sent)
    assert len(content) == 132 + 12 + meta.FileMetaInformationGroupLength + len(sent)


def test_every_storage_class_is_taken_and_echo_answered():
    """Whatever else the scanner sends along does not break its export."""
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    with receiving() as service, service.caller(sop_class=classes[0]) as scanner:
        offered = {str(context.abstract_syntax) for context in service.source._server.contexts}
        assert offered == {ECHO, *classes}
        assert scanner.send_c_echo().Status == STORED
        assert scanner.send_c_store(image(sop_class=classes[0])).Status == STORED
    assert len(service.arrived) == 1


@pytest.mark.parametrize(
    ("title", "called", "accepted"),
    [("MR1", "RT", True), ("MR2", "RT", True), ("MR3", "RT", False), ("MR1", "OTHER", False)],
)
def test_only_those_who_may_send_are_let_in(title: str, called: str, *, accepted: bool):
    """By their own AE title, and by the one they call."""
    with (
        receiving("?aet=RT&from=MR1,MR2") as service,
        service.caller(title, called) as scanner,
    ):
        assert scanner.is_established is accepted
        assert scanner.is_rejected is not accepted


def test_nothing_of_callers_and_patients_is_logged(caplog: pytest.LogCaptureFixture):
    """Neither by this package nor by the library, at any level."""
    caplog.set_level(logging.DEBUG)
    ds = image()
    with receiving("?aet=RT&from=MR-TITLE") as service:
        with service.caller("MR-TITLE") as scanner:
            scanner.send_c_store(ds)
            scanner.abort()
        with service.caller("OTHER-TITLE") as other:
            assert other.is_rejected
    text = caplog.text + service.arrived[0].name
    assert "was rejected" in text
    for secret in ("Secret", "SECRET-ID", "-TITLE", "127.0.0.1", str(ds.SOPInstanceUID)):
        assert secret not in text
    assert logging.getLogger("pynetdicom").level == logging.NOTSET


def test_what_is_not_durable_is_refused_so_that_it_is_sent_again():
    """A full disk is no success, also for those that come after it."""

    def disk_full(_: Sequence[Arrival]) -> None:
        raise RunError("the disk is full")

    with receiving(made=disk_full) as service, service.caller() as scanner:
        assert scanner.send_c_store(image()).Status == REFUSED
        assert scanner.send_c_store(image()).Status == REFUSED


def test_success_is_told_only_after_the_journal_has_it():
    """While the journal works, the sender waits."""
    asked, answer = Event(), Event()

    def slow(_: Sequence[Arrival]) -> None:
        asked.set()
        assert answer.wait(20)

    with (
        ThreadPoolExecutor(1) as pool,
        receiving(made=slow) as service,
        service.caller() as scanner,
    ):
        sent = pool.submit(scanner.send_c_store, image())
        assert asked.wait(20)
        with service.caller() as other:  # a whole conversation long
            assert other.send_c_echo().Status == STORED
        assert not sent.done()
        answer.set()
        assert sent.result(timeout=20).Status == STORED


def test_closing_answers_those_who_wait():
    """Nobody hangs, and nothing is called a success that was not kept."""
    address = parse_address("dicom://127.0.0.1:0?aet=RT")
    with ThreadPoolExecutor(1) as pool, ExitStack() as calling:
        with DicomSource(address, SystemClock()) as source:
            service = Receiving(source, lambda _: None)  # nobody takes what comes
            scanner = calling.enter_context(service.caller())
            sent = pool.submit(scanner.send_c_store, image())
            while source._queue.empty():
                pass
        assert sent.result(timeout=20).get("Status", REFUSED) == REFUSED


def test_what_is_too_large_is_broken_off_in_mid_sending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The rest is never held, and the next caller is served."""
    monkeypatch.setattr(receiver, "MAX_OBJECT_BYTES", 500_000)
    with receiving() as service:
        with service.caller() as scanner:
            assert "Status" not in scanner.send_c_store(image(bytes(3_000_000)))
        with service.caller() as scanner:
            assert scanner.send_c_store(image(bytes(400_000))).Status == STORED
    assert len(service.arrived) == 1
    assert "more than 500000 bytes" in caplog.text


def test_an_object_that_ends_just_beyond_the_limit_is_not_taken_for_a_small_one(
    monkeypatch: pytest.MonkeyPatch,
):
    """What is left of it after it was broken off is never stored."""
    monkeypatch.setattr(receiver, "MAX_OBJECT_BYTES", 3 * receiver.PDU_BYTES)
    with receiving() as service:
        for pieces in (3.2, 3.5, 3.9, 4.1, 4.5):
            with service.caller() as scanner:
                scanner.send_c_store(image(bytes(int(pieces * receiver.PDU_BYTES / 2) * 2)))
        with service.caller() as scanner:
            assert scanner.send_c_store(image()).Status == STORED
    assert all(
        len(a.content) < 1000 or len(a.content) > 3 * receiver.PDU_BYTES for a in service.arrived
    )
    assert all(dcmread(BytesIO(a.content)).Rows == 8 for a in service.arrived)


def test_all_senders_together_are_bounded(monkeypatch: pytest.MonkeyPatch):
    """However many there are."""
    monkeypatch.setattr(receiver, "MAX_HELD_BYTES", 500_000)
    with receiving() as service, service.caller() as scanner:
        assert "Status" not in scanner.send_c_store(image(bytes(3_000_000)))
    assert not service.arrived


def test_a_sender_that_does_not_wait_for_answers_is_broken_off():
    """Nothing piles up behind an object that is not durable yet."""
    answer = Event()

    def slow(_: Sequence[Arrival]) -> None:
        assert answer.wait(20)

    with receiving(made=slow) as service, service.caller() as scanner:
        context = scanner.accepted_contexts[0].context_id
        assert context is not None
        for number in range(1, 9):
            request: Any = C_STORE()
            request.MessageID, request.Priority = number, 2
            request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = MR, generate_uid()
            request.DataSet = BytesIO(encode(image(), False, True) or b"")
            scanner.dimse.send_msg(request, context)
        while not scanner.is_aborted:
            pass
        answer.set()
    assert len(service.arrived) <= 1


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_a_piece_that_claims_gigabytes_ends_the_call(kind: int):
    """Before anything of it is read."""
    with receiving() as service, socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.settimeout(20)
        raw.sendall(bytes([kind, 0]) + b"\xff\xff\xff\xff" + bytes(1000))
        with suppress(ConnectionResetError):
            assert raw.recv(100) == b""


def test_silent_callers_are_bounded_and_do_not_keep_others_out_for_ever(
    monkeypatch: pytest.MonkeyPatch,
):
    """Nor do they hold up the end."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    monkeypatch.setattr(receiver, "HELLO_S", 0.2)
    with receiving() as service:
        silent = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(3)]
        for one in silent:
            one.settimeout(20)
            with suppress(ConnectionResetError):
                assert one.recv(1) == b""
            one.close()
        while service.source._server.active_associations:
            pass
        with service.caller() as scanner:
            assert scanner.is_established
        still = socket.create_connection(("127.0.0.1", service.port))
    still.close()


def test_more_callers_than_there_is_room_for_are_turned_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The log says so; the earlier ones continue."""
    monkeypatch.setattr(receiver, "MAX_ASSOCIATIONS", 1)
    with receiving() as service, service.caller() as first:
        assert first.is_established
        with service.caller() as second:
            assert second.is_rejected
        assert first.send_c_store(image()).Status == STORED
    assert "there are already 1 associations" in caplog.text


def test_a_receiver_that_dies_is_noticed(monkeypatch: pytest.MonkeyPatch):
    """Its thread's exception is the cause of the source's."""

    def die(_: object) -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(server.Server, "service_actions", die)
    with (
        DicomSource(parse_address("dicom://127.0.0.1:0"), SystemClock()) as source,
        pytest.raises(RunError, match="receiver has stopped") as stopped,
    ):
        list(source.batches(Event()))
    assert isinstance(stopped.value.__cause__, MemoryError)


def test_a_port_that_is_taken_is_refused_with_its_number():
    """And so is an address that is another machine's."""
    with receiving() as service:
        taken = parse_address(f"dicom://127.0.0.1:{service.port}")
        with pytest.raises(ConfigError, match=f"127.0.0.1:{service.port} for DICOM"):
            DicomSource(taken, SystemClock()).__enter__()
    elsewhere = parse_address("dicom://192.0.2.1:0?from=MR1")
    with pytest.raises(ConfigError, match="choose another port or address"):
        DicomSource(elsewhere, SystemClock()).__enter__()


def test_an_address_that_others_can_reach_is_warned_about(caplog: pytest.LogCaptureFixture):
    """DICOM has no keys."""
    with DicomSource(parse_address("dicom://0.0.0.0:0?from=MR1"), SystemClock()):
        assert "neither encrypted nor authenticated" in caplog.text
