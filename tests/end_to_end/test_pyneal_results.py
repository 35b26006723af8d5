"""Stimulus scripts written for Pyneal, with a running service."""

import json
import socket
import struct
import time

import pytest

from rtdecode.adapters import pyneal_results
from rtdecode.adapters.address import Address
from rtdecode.adapters.pyneal_results import run
from rtdecode.errors import ConfigError
from rtdecode.types import Decision, Skipped

ANY = Address("127.0.0.1", 0)
Where = tuple[str, int]


def ask(where: Where, *pieces: str) -> dict[str, object]:
    """Ask as `endUser_sim.py` does, piece by piece: send, and read until the server closes."""
    with socket.create_connection(where, timeout=20) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.send(piece.encode("latin-1"))
        answer = b""
        while part := client.recv(1024):
            answer += part
    assert answer.endswith(b"\n")
    return json.loads(answer)


def wait_for(where: Where, index: int) -> dict[str, object]:
    """Ask until there is a result, as stimulus scripts do."""
    deadline_s = time.monotonic() + 30
    while not (result := ask(where, f"{index:04d}"))["foundResults"]:
        assert time.monotonic() < deadline_s, f"no result of volume {index}"
    return result


@pytest.fixture
def run_of_four(start, export, scanner):
    """Return a service and its outcomes: three decisions, and a missing volume."""
    service = start(volumes=4)
    for index in (0, 1, 3):
        export(f"{index}.dcm", scanner.mosaic(index))
    with service.outcomes() as outcomes:
        return service, [o.outcome for o in outcomes]


def test_a_script_gets_each_volumes_result(adapt, run_of_four, settings, stand_in):
    """Results have the decision's values; a future volume has no result."""
    service, outcomes = run_of_four
    where = adapt(run, settings.session, ANY, {})
    wait_for(where, outcomes[-1].index)  # outcomes come in order: then all are there
    for outcome in outcomes:
        if isinstance(outcome, Skipped):
            expected = {"foundResults": False, "skipped": "gap"}
            assert ask(where, f"{outcome.index:04d}") == expected
            continue
        assert isinstance(outcome, Decision)
        result = wait_for(where, outcome.index)
        assert result["average"] == outcome.fast[0]
        assert result["label"] == outcome.label
        named = dict(zip(stand_in.classes, outcome.probabilities, strict=True))
        assert result["probabilities"] == named
    assert ask(where, "0004") == {"foundResults": False}
    service.shut()


def test_a_script_reads_the_value_it_was_written_for(adapt, run_of_four, settings):
    """Any key may have any class's probability."""
    service, outcomes = run_of_four
    values = {"weightedAverage": "tongue", "average": "left hand"}
    where = adapt(run, settings.session, ANY, values)
    result = wait_for(where, 3)
    assert result["weightedAverage"] == outcomes[3].fast[3]
    assert result["average"] == outcomes[3].fast[1]
    service.shut()


def test_requests_of_every_form_are_answered(adapt, run_of_four, settings):
    """MATLAB ends its request with a newline, others cut it in pieces or do not pad it."""
    service, _ = run_of_four
    where = adapt(run, settings.session, ANY, {})
    result = wait_for(where, 3)
    for pieces in (["0003\n"], ["00", "03"], ["3"], ["3\r\n"], ["0003", "\n"], ["0" * 15 + "3"]):
        assert ask(where, *pieces) == result
    service.shut()


def test_invalid_requests_get_an_error(adapt, run_of_four, settings):
    """Pyneal's own server ends after such requests."""
    service, _ = run_of_four
    where = adapt(run, settings.session, ANY, {})
    for garbage in ("abcd", "-001", "1e10", "\xff\xfe\xfd\xfc", "GET / HTTP/1.1\r\n\r\n", "9" * 17):
        result = ask(where, garbage)
        assert result["foundResults"] is False
        assert "16 digits" in str(result["error"])
    wait_for(where, 0)
    service.shut()


def test_silent_and_half_open_clients_delay_nobody(adapt, run_of_four, settings, monkeypatch):
    """Pyneal's own server answers no client while one is silent."""
    monkeypatch.setattr(pyneal_results, "SILENCE_S", 1e6)
    service, _ = run_of_four
    where = adapt(run, settings.session, ANY, {})
    silent = [socket.create_connection(where) for _ in range(50)]
    for client in silent[:25]:
        client.shutdown(socket.SHUT_WR)
    wait_for(where, 3)
    for client in silent:
        client.close()
    service.shut()


def test_a_silent_client_is_disconnected(adapt, run_of_four, settings, monkeypatch):
    """Its connection is closed, without an answer."""
    monkeypatch.setattr(pyneal_results, "SILENCE_S", 0.05)
    service, _ = run_of_four
    where = adapt(run, settings.session, ANY, {})
    with socket.create_connection(where, timeout=20) as client:
        assert client.recv(10) == b""
    service.shut()


def test_a_thousand_clients_leave_no_connection_open(adapt, run_of_four, settings):
    """Clients ask, leave or disconnect, five times as many as are served at once."""
    service, _ = run_of_four
    where = adapt(run, settings.session, ANY, {})
    wait_for(where, 3)
    break_off = struct.pack("hh" if hasattr(socket, "SO_EXCLUSIVEADDRUSE") else "ii", 1, 0)
    for number in range(1000):
        with socket.create_connection(where, timeout=20) as client:
            if number % 3:
                client.send(b"0003" if number % 3 == 1 else b"0")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, break_off)
    wait_for(where, 3)
    service.shut()


def test_it_follows_its_session_to_new_addresses_and_runs(
    adapt, start, export, scanner, make_scanner, settings, until
):
    """The service is started again on other ports; then the next run's volumes replace these."""
    service = start()
    where = adapt(run, settings.session, ANY, {})
    export("0.dcm", scanner.mosaic(0))
    first = wait_for(where, 0)
    assert service.shut().state == "stopped"
    again = start()
    assert again.endpoints.outcomes != service.endpoints.outcomes
    export("1.dcm", scanner.mosaic(1))
    wait_for(where, 1)
    assert ask(where, "0000") == first
    with again.control() as control:
        control.end()
        until(lambda: control.status().state != "running")
        control.start()
    export("other.dcm", make_scanner(series=6, seed=8).mosaic(0))
    until(lambda: ask(where, "0000") != first)
    assert ask(where, "0001") == {"foundResults": False}
    again.shut()


def test_wrong_settings_are_refused_with_a_reason(adapt, start, settings, tmp_path):
    """The class is unknown, the port is in use, or no service has opened the folder."""
    service = start()
    with pytest.raises(ConfigError, match="the bundle does not have: faces; it has rest"):
        adapt(_run_to_its_end, settings.session, ANY, {"average": "faces"})
    used = adapt(run, settings.session, ANY, {})
    with pytest.raises(ConfigError, match="--listen"):
        adapt(run, settings.session, Address(*used), {})
    with pytest.raises(ConfigError, match="session that is being served"):
        adapt(_run_to_its_end, tmp_path / "none", ANY, {})
    service.shut()


def _run_to_its_end(session, listen, values, stop, _):
    run(session, listen, values, stop, lambda _: None)
