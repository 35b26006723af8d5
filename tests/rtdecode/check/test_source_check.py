"""The ways in, over real folders and ports."""

import socket as sockets
from contextlib import closing
from dataclasses import replace

import pytest
import zmq

from rtdecode.check.findings import CheckResult
from rtdecode.check.source_check import check_source_opens, told_after_ms
from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError


@pytest.fixture
def looked(subject):
    """Return a function that checks a source."""

    def look(source: str, **changes):
        settings = replace(subject.plan.settings, source=source, **changes)
        subject.plan = replace(subject.plan, settings=settings)
        return check_source_opens(subject)

    return look


@pytest.fixture
def taken():
    """Return a port that another program has."""
    with closing(sockets.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_an_empty_folder_is_green(looked, tmp_path):
    """Whether the system tells of new files is tried, and nothing is left."""
    found = looked(f"folder:{tmp_path / 'export'}")
    assert found.verdict is CheckResult.GREEN
    assert found.found.endswith("It is empty")
    assert not list((tmp_path / "export").iterdir())


def test_a_folder_that_holds_files_is_yellow(looked, tmp_path):
    """They would be decoded first."""
    for name in ("a", "b"):
        (tmp_path / "export" / name).write_text("x", encoding="utf-8")
    found = looked(f"folder:{tmp_path / 'export'}")
    assert found.verdict is CheckResult.YELLOW
    assert "holds 2 files already" in found.found
    assert "empty the folder" in found.remedy


def test_the_system_tells_of_a_new_file(tmp_path):
    """In a folder of this machine's own."""
    told_ms = told_after_ms(tmp_path, SystemClock())
    assert told_ms is not None
    assert 0 < told_ms < 3000
    assert not list(tmp_path.iterdir())


def test_the_session_may_not_lie_in_the_folder(looked, tmp_path):
    """As the service refuses it."""
    with pytest.raises(ConfigError, match="lies inside the source folder"):
        looked(f"folder:{tmp_path}")


def test_a_dicom_receiver_answers_an_echo(looked):
    """A real association over a real port, by a title that may call."""
    found = looked("dicom://127.0.0.1:0?aet=DECODER&from=SCANNER,OTHER")
    assert found.verdict is CheckResult.GREEN
    assert "as DECODER and answers a C-ECHO" in found.found
    assert "who may send: SCANNER, OTHER" in found.found
    assert found.figures["echo_ms"] > 0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("zmq:", "can be pushed to tcp://127.0.0.1:"),
        ("pyneal://127.0.0.1:*", "can connect to tcp://127.0.0.1:"),
    ],
)
def test_sockets_that_can_be_opened_are_green(looked, source, told):
    """And the address is told."""
    found = looked(source)
    assert found.verdict is CheckResult.GREEN
    assert told in found.found


def test_pyneal_for_everybody_is_yellow(looked):
    """Its protocol protects nothing."""
    assert looked("pyneal://*:*").verdict is CheckResult.YELLOW


@pytest.mark.parametrize("source", ["dicom://127.0.0.1:{port}", "pyneal://127.0.0.1:{port}"])
def test_a_port_that_is_taken_is_refused(looked, taken, source):
    """The message says what to do."""
    with pytest.raises(ConfigError, match="choose another port"):
        looked(source.format(port=taken))


def test_an_ingest_port_that_is_taken_is_refused(looked):
    """By another service, say."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(ConfigError, match="another service may be running"):
            looked("zmq:", ingest=f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("carrier pigeon", "is not known"),
        ("dicom://11112", "is not an address"),
        ("recording:/nowhere", "cannot be read"),
    ],
)
def test_a_source_that_is_none_is_refused(looked, source, told):
    """Each with its own words."""
    with pytest.raises(ConfigError, match=told):
        looked(source)
