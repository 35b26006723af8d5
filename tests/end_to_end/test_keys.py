"""Other computers: allowed clients are served; others get nothing and delay nobody."""

import hashlib
import socket as sockets
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
import zmq

from rtdecode.adapters import json_lines
from rtdecode.adapters.address import Address
from rtdecode.cli import main
from rtdecode.client import Control, Outcomes
from rtdecode.errors import ConfigError, RunError
from rtdecode.keys import allow, lock, new_client, new_service, service_keys
from rtdecode.player import IngestSink, sinks
from rtdecode.player.sinks import NoAnswerError
from rtdecode.wire import IngestHeader, encode, reachable

EVERYWHERE = "tcp://0.0.0.0:*"
OPEN = {"outcomes": EVERYWHERE, "control": EVERYWHERE, "ingest": EVERYWHERE, "source": "zmq:"}


@pytest.fixture
def service_folder(tmp_path) -> Path:
    """Return a service's keys, without clients."""
    return new_service(tmp_path / "keys").parent


@pytest.fixture
def make_client(tmp_path, service_folder):
    """Return a function that makes a client's keys, and allows them on request."""

    def make(name: str, *, allowed: bool) -> Path:
        public = new_client(tmp_path / name, name)
        (public.parent / "service.key").write_bytes((service_folder / "service.key").read_bytes())
        if allowed:
            allow(service_folder, public)
        return public.parent

    return make


@pytest.fixture
def allowed_keys(make_client) -> Path:
    """Return the keys of a client that is allowed."""
    return make_client("friend", allowed=True)


@pytest.fixture
def unknown_keys(make_client) -> Path:
    """Return the keys of a client that is not allowed."""
    return make_client("stranger", allowed=False)


def here(endpoint: str) -> str:
    """Return an endpoint as this computer reaches it."""
    return reachable(endpoint)


def test_allowed_clients_are_served_and_others_get_nothing(
    start, scanner, service_folder, allowed_keys, unknown_keys
):
    """A run with one allowed client, one without keys, one with unknown keys and a silent one."""
    service = start(keys=service_folder, volumes=4, **OPEN)
    outcomes, control, ingest = (
        here(e)
        for e in (
            service.endpoints.outcomes,
            service.endpoints.control,
            service.endpoints.ingest,
        )
    )
    with ExitStack() as opened:
        excluded = [
            opened.enter_context(Outcomes(outcomes, control, 20.0, keys))
            for keys in (None, unknown_keys)
        ]
        port = int(control.rpartition(":")[2])
        silent = opened.enter_context(sockets.create_connection(("127.0.0.1", port)))
        silent.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        allowed = opened.enter_context(Outcomes(outcomes, control, 20.0, allowed_keys))
        sink = opened.enter_context(IngestSink(ingest, allowed_keys))
        for index in range(4):
            sink.put(f"{index}.dcm", scanner.mosaic(index))
        sink.flush()
        assert [o.index for o in allowed] == [0, 1, 2, 3]
        for client in excluded:
            assert client.poll(0.2) is None
            assert client.status is None
        for keys in (None, unknown_keys):
            with (
                Control(control, timeout_s=0.2, keys=keys) as client_control,
                pytest.raises(ConfigError, match="no service answers"),
            ):
                client_control.shutdown()
        with Control(control, timeout_s=20.0, keys=allowed_keys) as client_control:
            assert (client_control.status().state, client_control.status().objects) == ("ended", 4)
    service.stop.set()
    summary = service.thread.result(timeout=60)
    assert (summary.decisions, summary.exit_code) == (4, 0)


def test_objects_of_unknown_clients_are_not_journalled(
    start, scanner, service_folder, allowed_keys, unknown_keys, until
):
    """Objects from a client without an allowed key do not reach the journal."""
    service = start(keys=service_folder, volumes=1, **OPEN)
    ingest, control = here(service.endpoints.ingest), here(service.endpoints.control)
    content = scanner.mosaic(0)
    header = IngestHeader(kind="dicom", name="a", sha256=hashlib.sha256(content).hexdigest())
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.setsockopt(zmq.LINGER, 0)
        plain.connect(ingest)
        plain.send_multipart([encode(header), content])
        with IngestSink(ingest, unknown_keys) as sink:
            sink.put("b", content)
            with Control(control, timeout_s=20.0, keys=allowed_keys) as client_control:
                assert client_control.status().objects == 0
            assert not plain.poll(200)
    with IngestSink(ingest, allowed_keys) as sink:
        sink.put("c", content)
        sink.flush()
    with Control(control, timeout_s=20.0, keys=allowed_keys) as client_control:
        until(lambda: client_control.status().state != "running")
        assert client_control.status().objects == 1
    service.stop.set()
    assert service.thread.result(timeout=60).decisions == 1


def test_a_sender_without_keys_ends_with_an_error(
    start, scanner, service_folder, allowed_keys, monkeypatch
):
    """The player ends with an error instead of waiting for ever."""
    monkeypatch.setattr(sinks, "SILENCE_S", 0.3)
    service = start(keys=service_folder, **OPEN)
    with IngestSink(here(service.endpoints.ingest)) as sink:
        sink.put("0.dcm", scanner.mosaic(0))
        with pytest.raises(RunError, match="no service answers"):
            sink.flush()
    assert service.shut().objects == 0
    assert allowed_keys.is_dir()


def test_a_forwarder_connects_once_it_is_allowed(
    start, scanner, service_folder, allowed_keys, unknown_keys, monkeypatch
):
    """It continues to try, so a forgotten key loses no files."""
    monkeypatch.setattr(sinks, "SILENCE_S", 0.3)
    assert allowed_keys.is_dir()
    service = start(keys=service_folder, **OPEN)
    ingest = service.endpoints.ingest
    with IngestSink(here(ingest), unknown_keys) as sink:
        sink.put("0.dcm", scanner.mosaic(0))
        with pytest.raises(NoAnswerError):
            sink.flush()
        assert service.shut().objects == 0
        allow(service_folder, unknown_keys / "stranger.key")
        again = start(keys=service_folder, **{**OPEN, "ingest": ingest})
        for _ in range(50):
            with suppress(NoAnswerError):
                sink.flush()
                break
    assert again.shut().objects == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_an_adapter_uses_its_keys(
    start, adapt, scanner, service_folder, allowed_keys, settings, allowed, until
):
    """With keys the adapter's client gets the run; without keys it gets nothing."""
    service = start(keys=service_folder, **OPEN)
    keys = allowed_keys if allowed else None
    where = adapt(partial(json_lines.run, keys=keys), settings.session, Address("127.0.0.1", 0))
    with IngestSink(here(service.endpoints.ingest), allowed_keys) as sink:
        sink.put("0.dcm", scanner.mosaic(0))
        sink.flush()
    with Control(
        here(service.endpoints.control), timeout_s=20.0, keys=allowed_keys
    ) as client_control:
        until(lambda: client_control.status().sequence >= 1)
    with sockets.create_connection(where, timeout=20) as client:
        client.settimeout(20 if allowed else 0.5)
        if allowed:
            assert b'"index":0' in client.recv(1 << 16)
        else:
            with pytest.raises(TimeoutError):
                client.recv(1)


def test_no_client_connects_without_authentication(service_folder, allowed_keys):
    """Without the authentication thread no client can connect, also none that is allowed."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        lock(socket, service_keys(service_folder))
        socket.bind("tcp://127.0.0.1:*")
        endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        with (
            Control(endpoint, timeout_s=0.3, keys=allowed_keys) as client_control,
            pytest.raises(ConfigError, match="friend is allowed"),
        ):
            client_control.status()
        assert not socket.poll(0)


def test_addresses_need_keys_and_keys_need_clients(start, tmp_path, service_folder):
    """Every error is reported, and no service starts."""
    with pytest.raises(ConfigError, match="rtdecode keys new"):
        start(outcomes=EVERYWHERE)
    with pytest.raises(ConfigError, match="names no client"):
        start(outcomes=EVERYWHERE, keys=service_folder)
    with pytest.raises(ConfigError, match=r"service\.key_secret is missing"):
        start(keys=tmp_path / "nowhere")
    assert not (tmp_path / "session").exists()


def test_loopback_needs_no_keys_unless_they_are_given(start, service_folder, allowed_keys):
    """With keys, clients on this computer need keys too."""
    service = start(keys=service_folder, volumes=1)
    control = service.endpoints.control
    with (
        Control(control, timeout_s=0.2) as plain,
        pytest.raises(ConfigError, match="--keys if"),
    ):
        plain.status()
    with Control(control, timeout_s=20.0, keys=allowed_keys) as client_control:
        assert client_control.status().state == "ready"
    assert service.shut().exit_code == 0


def test_the_monitor_takes_keys(start, scanner, service_folder, allowed_keys, settings, capsys):
    """`monitor --session --keys` follows a service with keys to its end."""
    service = start(keys=service_folder, volumes=2, **OPEN)
    with IngestSink(here(service.endpoints.ingest), allowed_keys) as sink:
        for index in range(2):
            sink.put(f"{index}.dcm", scanner.mosaic(index))
        sink.flush()
    options = ["--session", str(settings.session), "--keys", str(allowed_keys), "--json"]
    assert main(["monitor", *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    service.stop.set()
    assert service.thread.result(timeout=60).decisions == 2
