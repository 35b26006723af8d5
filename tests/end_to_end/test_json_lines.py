"""Lines of JSON over TCP: every client gets every outcome, whatever the others do."""

import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest
import zmq

from rtdecode.adapters import json_lines
from rtdecode.adapters.address import Address, parse_address
from rtdecode.adapters.json_lines import run
from rtdecode.errors import ConfigError
from rtdecode.service import Endpoints
from rtdecode.service.sockets import Sockets
from rtdecode.types import Skipped, SkipReason
from rtdecode.wire import (
    Numbered,
    Reply,
    Request,
    Snapshot,
    Status,
    StatusRequest,
    encode,
    to_message,
)

ANY = Address("127.0.0.1", 0)
ANY_ENDPOINT = "tcp://127.0.0.1:*"
ROOT = Path(__file__).resolve().parents[2]


class Client:
    """Any program with a socket."""

    def __init__(self, where: tuple[str, int]) -> None:
        self.socket = socket.create_connection(where, timeout=20)
        self._file = self.socket.makefile("rb")

    def line(self) -> dict[str, object]:
        """Read one line."""
        return json.loads(self._file.readline())

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self.socket.close()


@pytest.fixture
def connect() -> Iterator[type[Client]]:
    """Return a function that connects a client and closes it after the test."""
    opened: list[Client] = []

    def begin(where: tuple[str, int]) -> Client:
        opened.append(Client(where))
        return opened[-1]

    yield begin
    for client in opened:
        client.close()


def test_early_and_late_clients_get_the_run_and_the_next(
    adapt, start, export, scanner, make_scanner, settings, stand_in, connect, until
):
    """Each line is the outcome as on the wire, with the classes' names; runs follow each other."""
    service = start()
    where = adapt(run, settings.session, ANY)
    early = connect(where)
    for index in range(3):
        export(f"{index}.dcm", scanner.mosaic(index))
    lines = [early.line() for _ in range(3)]
    late = connect(where)
    assert [late.line() for _ in range(3)] == lines
    with service.outcomes() as outcomes:
        published = [next(outcomes) for _ in range(3)]
    for line, numbered in zip(lines, published, strict=True):
        assert line.pop("classes") == list(stand_in.classes)
        assert line == json.loads(encode(to_message(numbered)))
    with service.control() as control:
        control.end()
        until(lambda: control.status().state != "running")
        control.start()
    other = make_scanner(series=6, seed=8)
    for index in range(2):
        export(f"other {index}.dcm", other.mosaic(index))
    for client in (early, late):
        assert [client.line()["sequence"] for _ in range(2)] == [4, 5]
    assert connect(where).line()["run"] == 2
    service.shut()


def test_no_line_is_lost_or_repeated_when_the_service_is_started_again(
    adapt, start, export, scanner, settings, connect
):
    """A client stays connected through a restart at other ports."""
    service = start()
    client = connect(adapt(run, settings.session, ANY))
    export("0.dcm", scanner.mosaic(0))
    assert client.line()["sequence"] == 1
    service.shut()
    export("1.dcm", scanner.mosaic(1))
    service = start()
    export("2.dcm", scanner.mosaic(2))
    assert [client.line()["sequence"] for _ in range(2)] == [2, 3]
    service.shut()


class Stub:
    """A service's sockets with outcomes of any size."""

    def __init__(self, folder: Path, sockets: Sockets) -> None:
        self.sockets = sockets
        self._published: list[Numbered] = []
        folder.mkdir()
        endpoints = Endpoints(sockets.outcomes, sockets.control, None)
        (folder / "endpoints.json").write_bytes(msgspec.json.encode(endpoints))

    def publish(self, detail: str) -> None:
        """Publish one more outcome."""
        sequence = len(self._published) + 1
        outcome = Skipped(sequence - 1, SkipReason.GAP, detail)
        self._published.append(Numbered("s", 1, sequence, outcome))
        self.sockets.publish(self._published[-1])

    def answer(self) -> None:
        """Answer the requests that have arrived."""
        self.sockets.answer(self._handle)

    def _handle(self, request: Request) -> Reply:
        last = len(self._published)
        if not isinstance(request, StatusRequest):
            since = getattr(request, "since", None) or 0
            missed = tuple(map(to_message, self._published[since : since + 5]))
            return Snapshot(session="s", run=1, state="running", last=last, outcomes=missed)
        return Status(
            session="s",
            run=1,
            state="running",
            sequence=last,
            decisions=0,
            skipped=last,
            objects=0,
            unreadable=0,
            classes=("a", "b"),
            bundle="b",
            repetition_time_s=1.0,
        )


def test_a_client_that_never_reads_is_dropped_and_the_others_get_everything(
    adapt, tmp_path, connect, monkeypatch, caplog
):
    """The queue of one client is bounded, and no other client waits for it."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(json_lines, "PATIENCE_S", 0.2)
    with zmq.Context() as context, Sockets(context, ANY_ENDPOINT, ANY_ENDPOINT) as sockets:
        service = Stub(tmp_path / "session", sockets)
        where = adapt(run, tmp_path / "session", ANY)
        deaf, keen = connect(where), connect(where)
        keen.socket.settimeout(0.01)
        text = "x" * 500_000
        sent, came = 0, b""
        while came.count(b"\n") < 40:
            service.answer()
            if sockets.subscribers and sent < 40:
                service.publish(text)
                sent += 1
            try:
                came += keen.socket.recv(1 << 20)
            except TimeoutError:
                continue
        assert [json.loads(line)["sequence"] for line in came.splitlines()] == [*range(1, 41)]
        deadline_s = time.monotonic() + 30
        while "a client has disconnected: TimeoutError" not in caplog.text:
            assert time.monotonic() < deadline_s
            service.answer()
        got = 0
        with suppress(ConnectionError):
            while part := deaf.socket.recv(1 << 20):
                got += len(part)
        assert got < len(came)


def test_thousands_of_invalid_clients_leave_room_for_others(
    adapt, start, export, scanner, settings, connect
):
    """Garbage is ignored; disconnected clients make room before anything is sent."""
    service = start()
    where = adapt(run, settings.session, ANY)
    break_off = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    for number in range(1500):
        with closing(socket.create_connection(where, timeout=20)) as client:
            client.send(b"\xff" * (number % 7))
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, break_off)
            elif number % 100 == 0:
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""
    stays = connect(where)
    stays.socket.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10_000)
    export("0.dcm", scanner.mosaic(0))
    assert stays.line()["sequence"] == 1
    service.shut()


def test_clients_above_the_limit_are_rejected(adapt, start, settings, connect, monkeypatch):
    """Memory is bounded; connected clients stay."""
    monkeypatch.setattr("rtdecode.adapters.server.MAX_CLIENTS", 3)
    service = start()
    where = adapt(run, settings.session, ANY)
    for _ in range(3):
        connect(where)
    with pytest.raises((ConnectionError, json.JSONDecodeError)):
        connect(where).line()
    service.shut()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_ends_the_command_cleanly(start, export, scanner, settings, connect):
    """An operator starts and ends the command while a client is connected."""
    service = start()
    command = [sys.executable, "-m", "rtdecode", "adapt", "json-lines", "--listen", "127.0.0.1:0"]
    command += ["--session", str(settings.session)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as adapter:
        line = adapter.stderr.readline()
        address = parse_address(line.split(" on ")[1].split(";")[0])
        export("0.dcm", scanner.mosaic(0))
        client = connect((address.host, address.port))
        assert client.line()["sequence"] == 1
        adapter.send_signal(signal.SIGINT)
        assert client._file.read() == b""
        assert adapter.stderr.read() == ""
    assert adapter.returncode == 0
    service.shut()


@pytest.mark.parametrize(
    ("text", "host", "port", "exposed"),
    [
        ("127.0.0.1:5556", "127.0.0.1", 5556, False),
        ("localhost:1", "127.0.0.1", 1, False),
        ("*:*", "0.0.0.0", 0, True),  # noqa: S104  the test needs an exposed address
        ("192.168.2.1:80", "192.168.2.1", 80, True),
    ],
)
def test_addresses_are_parsed(text, host, port, exposed):
    """Loopback is distinguished from addresses that others can reach."""
    address = parse_address(text)
    assert (address.host, address.port, address.exposed) == (host, port, exposed)


@pytest.mark.parametrize("text", ["", "5556", "host:1", "127.0.0.1:", "1.2.3.4:65536", ":1", "1:²"])
def test_invalid_addresses_are_refused(text):
    """The error has an example of a valid address."""
    with pytest.raises(ConfigError, match="such as"):
        parse_address(text)
