"""What is refused before a decoder is loaded."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rtdecode.errors import BundleError, ConfigError
from rtdecode.journal import Journal
from rtdecode.journal.pack import Kind
from rtdecode.service import ServiceSettings, check_bundle, check_start, check_unfinished
from rtdecode.service.start import check_ports, check_session_folder, nearest_existing

ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def settings(tmp_path) -> ServiceSettings:
    """Return settings with which a service can start."""
    (tmp_path / "export").mkdir()
    source = f"folder:{tmp_path / 'export'}"
    return ServiceSettings(tmp_path / "session", source, ANY, ANY, ANY)


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port at which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_what_can_start_is_let_through_and_nothing_is_made(settings, tmp_path):
    """No session's folder, no file."""
    check_start(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("carrier pigeon", "is not known"),
        ("folder:", "names no path"),
        ("folder:{}/nowhere", "does not exist"),
        ("recording:{}/nowhere", "cannot be read"),
        ("dicom://somewhere:11112", "is not an address"),
        ("pyneal://5555", "HOST:PORT"),
    ],
)
def test_a_source_that_cannot_be_opened_is_refused(settings, tmp_path, source, problem):
    """By what is wrong with it."""
    with pytest.raises(ConfigError, match=problem):
        check_start(replace(settings, source=source.format(tmp_path)))


def test_every_problem_is_told_at_once(settings, tmp_path, taken):
    """Of the settings, the source, the folder, the ports, and of what the command adds."""
    (tmp_path / "file").touch()
    wrong = replace(
        settings,
        source="carrier pigeon",
        session=tmp_path / "file" / "session",
        control=f"tcp://127.0.0.1:{taken}",
        volumes=-1,
    )
    with pytest.raises(ConfigError) as refused:
        check_start(wrong, lambda: check_bundle(tmp_path))
    reported = refused.value.problems
    words = ("carrier pigeon", "volumes", "is a file", str(taken), "is not a bundle")
    assert [word in problem for word, problem in zip(words, reported, strict=True)] == [True] * 5


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("folder:x", {"outcomes": "tcp://127.0.0.1:{}"}),
        ("folder:x", {"control": "tcp://localhost:{}"}),
        ("zmq:", {"ingest": "tcp://127.0.0.1:{}"}),
        ("dicom://:{}", {}),
        ("pyneal://127.0.0.1:{}", {}),
    ],
)
def test_a_port_that_is_taken_is_named(settings, taken, source, where):
    """Each of those that the service and its source are going to need."""
    reported = {name: endpoint.format(taken) for name, endpoint in where.items()}
    with pytest.raises(ConfigError, match=f":{taken}.*another service may be running"):
        check_ports(replace(settings, source=source.format(taken), **reported))


def test_a_port_that_the_source_does_not_need_may_be_taken(settings, taken):
    """Ingest is for the source zmq: only."""
    check_ports(replace(settings, ingest=f"tcp://127.0.0.1:{taken}"))


def test_nobody_can_connect_while_ports_are_tried(settings, monkeypatch):
    """A client would wait for a service that is not there; and they are free again afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    bind = socket.socket.bind
    refused = []

    def bound(tried: socket.socket, address: tuple[str, int]) -> None:
        bind(tried, address)
        with socket.socket() as client:
            refused.append(client.connect_ex(address))

    monkeypatch.setattr(socket.socket, "bind", bound)
    check_ports(replace(settings, outcomes=f"tcp://127.0.0.1:{port}"))
    monkeypatch.undo()
    assert len(refused) == 1
    assert refused[0] != 0
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_session_in_use_is_refused(settings):
    """And its service goes on; afterwards it is free."""
    with Journal(settings.session), pytest.raises(ConfigError, match="in use by another service"):
        check_start(settings)
    check_start(settings)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a place where root may not write")
def test_a_session_that_nobody_may_write_is_refused():
    """With what to do about it."""
    with pytest.raises(ConfigError, match="nothing can be written to /proc/self"):
        check_session_folder(Path("/proc/self/a/session"))


def test_nearest_is_what_there_is(tmp_path):
    """Of a session three folders deep, the one that exists."""
    assert nearest_existing(tmp_path / "a" / "b" / "c") == tmp_path
    assert nearest_existing(tmp_path) == tmp_path


def test_a_bundle_without_manifest_is_refused_in_the_loaders_words(tmp_path):
    """The check imports nothing of what loads bundles, and says the same."""
    from rtdecode.bundle import read_manifest

    with pytest.raises(BundleError) as quick:
        check_bundle(tmp_path)
    with pytest.raises(BundleError) as thorough:
        read_manifest(tmp_path)
    assert quick.value.problems == thorough.value.problems


def test_an_unfinished_run_of_another_bundle_is_refused(tmp_path):
    """The one that began it goes on, and so does any once it has ended."""
    check_unfinished(tmp_path / "new", "any")
    with Journal(tmp_path / "session") as journal:
        journal.append_event(Kind.START, {"run": 1, "bundle": "one"}, 0)
        journal.begin_run(1, "one", ("a", "b"), 2.0)
        check_unfinished(tmp_path / "session", "one")
        with pytest.raises(ConfigError, match="unfinished run of bundle one, this is bundle other"):
            check_unfinished(tmp_path / "session", "other")
        journal.end_run(1)
        check_unfinished(tmp_path / "session", "other")
