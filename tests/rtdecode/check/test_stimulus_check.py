"""Check of the link to the stimulus program, over real sockets."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import msgspec
import pytest
import zmq

from rtdecode.check.findings import CheckResult
from rtdecode.check.stimulus_check import check_stimulus
from rtdecode.client import Outcomes


def follow(outcomes: str, control: str, stop: Event) -> list[object]:
    """Act as a stimulus program that polls at 60 Hz; return the outcomes that it received."""
    taken = []
    with Outcomes(outcomes, control) as source:
        while not stop.is_set():
            numbered = source.poll(1 / 60)
            if numbered is not None:
                taken.append(numbered)
    return taken


def listen_only(outcomes: str, _control: str, stop: Event) -> list[list[bytes]]:
    """Act as a program without support for tests."""
    taken = []
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.subscribe(b"outcome")
        socket.connect(outcomes)
        while not stop.is_set():
            if socket.poll(20):
                taken.append(socket.recv_multipart())
    return taken


def echo_by_hand(outcomes: str, control: str, stop: Event) -> list[bytes]:
    """Act as a program in another language that echoes as docs/protocol.md describes."""
    with (
        zmq.Context() as context,
        context.socket(zmq.SUB) as socket,
        context.socket(zmq.REQ) as ask,
    ):
        for one in (socket, ask):
            one.setsockopt(zmq.LINGER, 0)
        socket.subscribe(b"test")
        socket.subscribe(b"outcome")
        socket.connect(outcomes)
        ask.connect(control)
        while not stop.is_set():
            if not socket.poll(20):
                continue
            topic, message = socket.recv_multipart()
            assert topic == b"test"
            nonce = msgspec.json.decode(message)["nonce"]
            ask.send_json({"schema": 1, "request": "echo", "nonce": nonce})
            if ask.poll(1000):
                ask.recv()
    return []


@pytest.fixture
def try_link(context):
    """Return a function that tests the link with programs and returns what they received, too."""

    def attempt(*programs, wait_s: float = 20.0):
        context.plan = replace(context.plan, stimulus_s=wait_s)
        stop, running = Event(), []
        with ThreadPoolExecutor(4) as pool:

            def announce(text: str) -> None:
                words = text.replace(",", " ").replace(")", " ").split()
                outcomes, control = (w for w in words if w.startswith("tcp://"))
                running.extend(pool.submit(p, outcomes, control, stop) for p in programs)

            try:
                found = check_stimulus(context, announce)
            finally:
                stop.set()
            return found, [program.result(timeout=30) for program in running]

    return attempt


def test_a_program_that_uses_the_client_is_green_and_receives_no_outcome(try_link):
    """It echoes without extra code, and a test is never an outcome."""
    found, taken = try_link(follow)
    assert found.verdict is CheckResult.GREEN
    assert found.figures["tests"] == 10
    assert found.figures["programs_answered"] == 1
    assert found.figures["round_trip_slowest_ms"] >= found.figures["round_trip_p50_ms"] > 0
    assert taken == [[]]


def test_a_program_without_the_client_can_echo(try_link):
    """The protocol's page describes the echo."""
    found, _ = try_link(echo_by_hand)
    assert found.verdict is CheckResult.GREEN


def test_a_program_that_does_not_echo_is_yellow(try_link):
    """The result says that it is connected; it received no outcome."""
    found, taken = try_link(listen_only, wait_s=1.0)
    assert found.verdict is CheckResult.YELLOW
    assert found.found.startswith("1 program connected, but no echo")
    assert "docs/protocol.md" in found.remedy
    assert taken == [[]]


def test_a_silent_program_among_two_is_yellow(try_link):
    """A monitor that answers does not replace the stimulus program."""
    found, _ = try_link(follow, listen_only, wait_s=30.0)
    assert found.verdict is CheckResult.YELLOW
    assert "2 programs connected, 1 answered" in found.found


def test_no_program_is_red(try_link):
    """The remedy contains the addresses."""
    found, _ = try_link(wait_s=0.2)
    assert found.verdict is CheckResult.RED
    assert "no program connected within 0.2 s" in found.found
    assert "outcomes tcp://127.0.0.1:" in found.remedy
