"""What the sockets do with good and bad messages."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import zmq

from rtdecode.errors import ConfigError
from rtdecode.player import IngestSink
from rtdecode.service.sockets import Sockets
from rtdecode.types import Skipped, SkipReason
from rtdecode.wire import (
    ANY_PORT,
    IngestHeader,
    IngestReply,
    Numbered,
    Reply,
    Request,
    Status,
    StatusRequest,
    WireError,
    decode,
    encode,
)

GARBAGE = (
    b"",
    b"\x80\x04\x95pickle",
    b"{}",
    b"[1, 2]",
    b'{"schema": 2, "request": "status"}',
    b'{"schema": 1, "request": "format the disk"}',
    b'{"schema": 1, "request": "snapshot", "since": "yesterday"}',
    b'{"schema": 1, "request": "snapshot", "since": -1}',
    b'{"schema": 1, "request": "snapshot", "since": 1' + b"0" * 400 + b"}",
    b'{"schema": 1, "request": "mark", "text": "' + b"x" * 2000 + b'"}',
    b'{"schema": 1, "request": "event"}',
    b'{"schema": 1, "request": "event", "trial_type": ""}',
    b'{"schema": 1, "request": "event", "trial_type": "' + b"x" * 101 + b'"}',
    b'{"schema": 1, "request": "event", "trial_type": "a\\tb"}',
    b'{"schema": 1, "request": "event", "trial_type": "a", "onset_s": 1e400}',
    b'{"schema": 1, "request": "event", "trial_type": "a", "onset_s": "now"}',
    b'{"schema": 1, "request": "event", "trial_type": "a", "duration_s": -1}',
    b'{"schema": 1, "request": "status", "more": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    b"[" * 60_000,
)


@contextmanager
def connected(endpoint: str, kind: int = zmq.REQ) -> Iterator[zmq.Socket]:
    """Open a raw client socket."""
    with zmq.Context() as context, context.socket(kind) as client:
        client.setsockopt(zmq.LINGER, 0)
        client.setsockopt(zmq.RCVTIMEO, 20_000)
        client.connect(endpoint)
        yield client


def header(content: bytes, **changes: str) -> bytes:
    """Return an ingest message's first frame."""
    facts = {"name": "a.dcm", "sha256": hashlib.sha256(content).hexdigest(), **changes}
    return encode(IngestHeader(kind="dicom", **facts))


def test_garbage_on_control_is_refused_and_the_service_continues(start):
    """Every malformed request gets an error that says what is wrong."""
    service = start()
    with connected(service.endpoints.control) as socket:
        for garbage in GARBAGE:
            socket.send(garbage)
            reply = msgspec.json.decode(socket.recv())
            assert reply["reply"] == "refused"
            assert reply["error"]
    with connected(service.endpoints.control, zmq.DEALER) as socket:
        socket.send_multipart([b"one", b"frame", b"too many"])
        assert msgspec.json.decode(socket.recv())["reply"] == "refused"
    with service.control() as control:
        assert control.status().state == "ready"
    assert service.shut().exit_code == 0


def test_garbage_on_ingest_is_refused_and_the_service_continues(start, scanner):
    """Messages that are no objects are answered; a good one after them is decided."""
    content = scanner.mosaic(0)
    bad = [
        [b"no header", content],
        [header(content)],
        [header(content), content, content],
        [header(content), b""],
        [header(content), content[:-1]],
        [header(content, name="\x1b[2J"), content],
        [header(content, name="x" * 300), content],
        [header(content)[:-1] + b" " * 5000 + b"}", content],
        [b'{"schema": 1, "kind": ' + b"[" * 4000, content],
    ]
    service = start(source="zmq:", volumes=1)
    with connected(service.endpoints.ingest, zmq.DEALER) as socket:
        for frames in bad:
            socket.send_multipart(frames)
            reply = msgspec.json.decode(socket.recv(), type=IngestReply)
            assert reply.receipt == "refused"
            assert reply.error
        socket.send_multipart([header(content), content])
        assert msgspec.json.decode(socket.recv(), type=IngestReply).receipt == "journalled"
    assert service.finish().decisions == 1


@pytest.mark.parametrize("which", ["control", "outcomes"])
def test_an_endless_message_ends_the_connection(start, which):
    """A request of megabytes or a very long subscription ends its sender's connection."""
    service = start()
    kind, size = {"control": (zmq.DEALER, 8 << 20), "outcomes": (zmq.XSUB, 4096)}[which]
    with connected(getattr(service.endpoints, which), kind) as socket:
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.send(b"\x01" + b"x" * size)
        assert monitor.poll(20_000)
        socket.disable_monitor()
        monitor.close()
    with service.control() as control:
        assert control.status().state == "ready"
    assert service.shut().exit_code == 0


def test_only_subscriptions_are_counted(start):
    """A subscriber may send anything; only subscriptions and their ends count."""
    service = start()
    with connected(service.endpoints.outcomes, zmq.XSUB) as socket, service.control() as control:
        for message in (b"", b"\x02outcome", b"outcome", b"\x01outcome"):
            socket.send(message)
        while (subscribers := control.status().subscribers) == 0:
            pass
        assert subscribers == 1
    assert service.shut().exit_code == 0


def test_an_object_that_is_not_an_image_is_acknowledged_and_reported(start, scanner):
    """Well-formed garbage is journalled and counted, and does not stop the run."""
    service = start(source="zmq:", volumes=1)
    with IngestSink(service.endpoints.ingest) as sink:
        sink.put("rubbish.dcm", b"rubbish")
        sink.put("0.dcm", scanner.mosaic(0))
        sink.flush()
    summary = service.finish()
    assert (summary.unreadable, summary.decisions) == (1, 1)


def test_an_object_sent_again_is_a_duplicate(start, scanner):
    """A sender that got no answer may send again: nothing is counted twice."""
    content = scanner.mosaic(0)
    service = start(source="zmq:")
    with connected(service.endpoints.ingest) as socket:
        receipts = []
        for _ in range(3):
            socket.send_multipart([header(content), content])
            receipts.append(msgspec.json.decode(socket.recv(), type=IngestReply).receipt)
    assert receipts == ["journalled", "duplicate", "duplicate"]
    with service.control() as control:
        while control.status().objects == 0:
            pass
    assert service.shut().objects == 1


def test_commands_that_are_not_possible_are_refused(start):
    """A run cannot begin in a run, nor end twice."""
    service = start()
    with service.control() as control:
        with pytest.raises(WireError, match="run 1 is ready; possible now: pause or end"):
            control.start()
        control.end()
        while control.status().state != "ended":
            pass
        with pytest.raises(WireError, match="run 1 is ended; possible now: start"):
            control.end()
        control.shutdown()
    assert service.finish().state == "ended"


def test_addresses_other_machines_can_reach_are_refused(start):
    """Without keys the service listens on this machine only, and says why."""
    for endpoint in ("tcp://*:7801", "tcp://0.0.0.0:7801", "tcp://192.168.2.1:7801"):
        with pytest.raises(ConfigError, match="CURVE"):
            start(outcomes=endpoint)
    with pytest.raises(ConfigError) as refused:
        start(outcomes="udp://x", source="carrier pigeon", volumes=-1)
    assert len(refused.value.problems) == 3


def test_a_second_service_on_the_same_session_or_port_is_refused(start, tmp_path):
    """Two services never write one session, nor share a port silently."""
    service = start()
    with pytest.raises(ConfigError, match="in use by another service"):
        start()
    with pytest.raises(ConfigError, match="another service may be running"):
        start(session=tmp_path / "other", outcomes=service.endpoints.outcomes)


def test_a_missing_folder_or_one_with_the_session_is_refused(start, tmp_path):
    """Each error names the folder and the remedy."""
    with pytest.raises(ConfigError, match="does not exist"):
        start(source=f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(ConfigError, match="lies inside the source folder"):
        start(source=f"folder:{tmp_path}")


def test_a_subscriber_that_never_reads_delays_nobody():
    """When the system's buffers are full its messages are dropped; others get theirs."""
    message = numbered(detail="x" * 4000)
    with (
        zmq.Context() as context,
        Sockets(context, ANY_PORT, ANY_PORT) as sockets,
        connected(sockets.outcomes, zmq.SUB) as mute,
        connected(sockets.outcomes, zmq.SUB) as reader,
    ):
        mute.subscribe(b"outcome")
        while sockets.subscribers < 1:
            sockets.answer(nothing)
        for _ in range(20_000):  # 80 MB
            sockets.publish(message)
        reader.subscribe(b"outcome")
        while sockets.subscribers < 2:
            sockets.answer(nothing)
        sockets.publish(message)
        assert reader.recv_multipart()[0] == b"outcome"


def numbered(detail: str) -> Numbered:
    """Return an outcome with this detail."""
    return Numbered("0123456789ab", 1, 1, Skipped(0, SkipReason.GAP, detail))


def nothing(_: Request) -> Reply:
    """Never return a reply."""
    raise AssertionError


def test_clients_wait_while_the_decoder_warms_up(start, scanner, stand_in):
    """Clients get their answers after the warm-up, and nothing is lost."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ingest, control = (f"tcp://127.0.0.1:{s.getsockname()[1]}" for s in (one, two))
    content = scanner.mosaic(0)
    decoder = stand_in()
    answered = []
    with connected(ingest) as sender, connected(control) as asker:

        def warm_up() -> None:
            sender.send_multipart([header(content), content])
            asker.send(encode(StatusRequest()))
            answered.extend([sender.poll(300), asker.poll(0)])

        decoder.warm_up = warm_up
        service = start(decoder, source="zmq:", ingest=ingest, control=control, volumes=1)
        receipt = msgspec.json.decode(sender.recv(), type=IngestReply).receipt
        status = decode(asker.recv(), Reply)
    assert answered == [0, 0]
    assert receipt == "journalled"
    assert isinstance(status, Status)
    assert status.state != "idle"
    assert service.finish().decisions == 1


def test_a_wrong_source_is_refused_before_the_decoder_warms_up(start, tmp_path, stand_in):
    """One wrong source is a port that another program took after the check of the settings."""
    decoder = stand_in()
    warmed: list[bool] = []
    decoder.warm_up = lambda: warmed.append(True)
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        for source in (f"folder:{tmp_path / 'nowhere'}", f"dicom://:{port}", f"pyneal://*:{port}"):
            with pytest.raises(ConfigError):
                start(decoder, source=source)
    assert not warmed
