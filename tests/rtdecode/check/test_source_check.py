"""Checks of each kind of source, with real folders and ports."""

import socket as sockets
from contextlib import closing
from dataclasses import replace

import pytest
import zmq

from rtdecode.check.findings import CheckResult
from rtdecode.check.source_check import check_source_opens, event_delay_ms
from rtdecode.clock import SystemClock
from rtdecode.errors import ConfigError


@pytest.fixture
def check_source(context):
    """Return a function that checks a source."""

    def check(source: str, **changes):
        settings = replace(context.plan.settings, source=source, **changes)
        context.plan = replace(context.plan, settings=settings)
        return check_source_opens(context)

    return check


@pytest.fixture
def used_port():
    """Return a port that another program uses."""
    with closing(sockets.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_an_empty_folder_is_green(check_source, tmp_path):
    """The test of new-file events leaves no file."""
    found = check_source(f"folder:{tmp_path / 'export'}")
    assert found.verdict is CheckResult.GREEN
    assert found.found.endswith("It is empty")
    assert not list((tmp_path / "export").iterdir())


def test_a_folder_that_holds_files_is_yellow(check_source, tmp_path):
    """The service would decode them first."""
    for name in ("a", "b"):
        (tmp_path / "export" / name).write_text("x", encoding="utf-8")
    found = check_source(f"folder:{tmp_path / 'export'}")
    assert found.verdict is CheckResult.YELLOW
    assert "holds 2 files already" in found.found
    assert "empty the folder" in found.remedy


def test_the_delay_of_a_new_file_event_is_measured(tmp_path):
    """The folder is local."""
    delay_ms = event_delay_ms(tmp_path, SystemClock())
    assert delay_ms is not None
    assert 0 < delay_ms < 3000
    assert not list(tmp_path.iterdir())


def test_a_session_inside_the_source_folder_is_refused(check_source, tmp_path):
    """The error is the service's."""
    with pytest.raises(ConfigError, match="lies inside the source folder"):
        check_source(f"folder:{tmp_path}")


def test_a_dicom_receiver_answers_an_echo(check_source):
    """An allowed title opens a real association over a real port."""
    found = check_source("dicom://127.0.0.1:0?aet=DECODER&from=SCANNER,OTHER")
    assert found.verdict is CheckResult.GREEN
    assert "as DECODER and answers a C-ECHO" in found.found
    assert "who may send: SCANNER, OTHER" in found.found
    assert found.figures["echo_ms"] > 0


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("zmq:", "can be pushed to tcp://127.0.0.1:"),
        ("pyneal://127.0.0.1:*", "can connect to tcp://127.0.0.1:"),
    ],
)
def test_sockets_that_can_be_opened_are_green(check_source, source, text):
    """The result contains the address."""
    found = check_source(source)
    assert found.verdict is CheckResult.GREEN
    assert text in found.found


def test_a_pyneal_port_open_to_other_computers_is_yellow(check_source):
    """Its protocol has no protection."""
    assert check_source("pyneal://*:*").verdict is CheckResult.YELLOW


@pytest.mark.parametrize("source", ["dicom://127.0.0.1:{port}", "pyneal://127.0.0.1:{port}"])
def test_a_port_in_use_is_refused(check_source, used_port, source):
    """The message gives the remedy."""
    with pytest.raises(ConfigError, match="choose another port"):
        check_source(source.format(port=used_port))


def test_an_ingest_port_in_use_is_refused(check_source):
    """The message suggests that another service is running."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(ConfigError, match="another service may be running"):
            check_source("zmq:", ingest=f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("carrier pigeon", "is not known"),
        ("dicom://11112", "is not an address"),
        ("recording:/nowhere", "cannot be read"),
    ],
)
def test_an_invalid_source_is_refused(check_source, source, reason):
    """Each error has its own reason."""
    with pytest.raises(ConfigError, match=reason):
        check_source(source)
